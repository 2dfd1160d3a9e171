"""`mstar sessions` against a real coordinator: listed, ended one by one and by name, and what is not a session."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from door_bench import coordinator_for_commands
from mstar.cli.sessions import app
from mstar.errors import InvalidInput, NotFound

run = CliRunner().invoke


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    yield from coordinator_for_commands(tmp_path, monkeypatch)


def signed_in(url: str) -> httpx2.Client:
    browser = httpx2.Client(base_url=url)
    assert browser.post("/v1/session/sign-in", json={"key": "k-run"}).status_code == 200
    return browser


def test_who_is_signed_in_is_listed_and_ended(url: str) -> None:
    assert "nobody is signed in" in run(app, ["list"]).output
    browsers = [signed_in(url) for _ in range(3)]
    listed = json.loads(run(app, ["list", "--json"]).stdout)
    shown = run(app, ["list", "--name", "bootstrap run_admin"]).output
    assert len(listed) == 3 and all(one["id"] in shown for one in listed)
    ended = run(app, ["end", listed[0]["id"]])
    assert f"session {listed[0]['id']} of bootstrap run_admin is ended" in ended.output
    assert sorted(one.get("/v1/session").status_code for one in browsers) == [200, 200, 401]
    assert "2 sessions of bootstrap run_admin ended" in run(app, ["end", "--name", "bootstrap run_admin"]).output
    assert {one.get("/v1/session").status_code for one in browsers} == {401}
    for one in browsers:
        one.close()
    assert isinstance(run(app, ["end", listed[0]["id"]]).exception, NotFound)
    assert isinstance(run(app, ["end", "--name", "nobody"]).exception, NotFound)


@pytest.mark.parametrize("given", [[], ["0123456789abcdef", "--name", "anna"]])
def test_one_session_or_one_person_is_to_be_named(url: str, given: list[str]) -> None:
    found = run(app, ["end", *given]).exception
    assert isinstance(found, InvalidInput) and "--name NAME" in str(found)
