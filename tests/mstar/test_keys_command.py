"""`mstar keys` against a real coordinator: made, used, listed, revoked, and what is refused before anything is sent."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from door_bench import coordinator_for_commands
from mstar.cli.keys import app
from mstar.client import Client, Endpoint
from mstar.errors import InvalidInput, Unauthenticated


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    yield from coordinator_for_commands(tmp_path, monkeypatch)


def test_a_key_is_made_used_listed_and_revoked(url: str) -> None:
    run = CliRunner().invoke
    options = ["blue team", "--role", "run-admin", "--role", "score", "--project", "blue", "--days", "3600"]
    made = run(app, ["create", *options, "--limit", "concurrent=4"])
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    assert key.startswith("mstar_") and "not shown again" in made.stderr
    with Client(Endpoint(url=url, run_admin_key=key)) as client:
        (listed,) = client.keys().data
        assert (listed.project, listed.limits.concurrent, listed.roles) == ("blue", 4, ("run_admin", "score"))
    shown = run(app, ["list"])
    assert listed.id in shown.output and "blue team" in shown.output and key not in shown.output
    assert run(app, ["revoke", listed.id]).exit_code == 0
    assert listed.id not in run(app, ["list"]).output
    assert json.loads(run(app, ["list", "--all", "--json"]).stdout)[0]["revoked_at"]
    with Client(Endpoint(url=url, run_admin_key=key)) as client, pytest.raises(Unauthenticated):
        client.keys()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["x", "--role", "god"], "--role god"),
        (["x", "--role", "score", "--limit", "speed=1"], "--limit speed=1"),
        (["x", "--role", "score", "--limit", "concurrent=0"], "concurrent"),
        (["<x>", "--role", "score"], "name"),
        (["x", "--role", "score", "--role", "score"], "roles"),
        (["x", "--role", "score", "--project", "A B"], "project"),
    ],
)
def test_a_wrong_option_is_named(options: list[str], said: str) -> None:
    found = CliRunner().invoke(app, ["create", *options]).exception
    assert isinstance(found, InvalidInput) and said in str(found)
