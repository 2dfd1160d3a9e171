"""Client and command line against a real coordinator behind a real socket, with the test as its worker."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import uvicorn
from pydantic import SecretStr

from coordinator_bench import SMALL, HandClock, MemoryPublisher, commit_of
from mstar.api.runs import Run, RunCreate
from mstar.api.steps import Claim
from mstar.client import Client, Endpoint
from mstar.errors import (
    Forbidden,
    IdempotencyMismatch,
    IllegalTransition,
    InvalidRecipe,
    NotFound,
    Unauthenticated,
)
from mstar.evolution import RunState
from mstar_coordinator.api.app import build_app
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.store.database import open_store
from publish_bench import finished_run

SMALL_RUN = RunCreate(recipe=json.loads(SMALL.model_dump_json()))
ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


@dataclass(frozen=True)
class Server:
    """A coordinator that runs, and the hints it has given."""

    url: str
    publisher: MemoryPublisher

    def work(self, run_id: str) -> None:
        """Be the workers until the run has ended."""
        deadline = time.monotonic() + 60
        headers = {"Authorization": "Bearer internal"}
        with httpx2.Client(base_url=self.url, headers=headers) as http:
            while Run.model_validate_json(http.get(f"/v1/runs/{run_id}").content).state not in ENDED:
                assert time.monotonic() < deadline, "the run did not end"
                hint = self.publisher.take()
                if hint is None:
                    time.sleep(0.01)
                    continue
                answer = http.post(f"/internal/v1/steps/{hint}/claim", json={"worker": "w"})
                if answer.status_code == 409:
                    continue
                commit = commit_of(Claim.model_validate_json(answer.content))
                http.post(f"/internal/v1/steps/{hint}/commit", json=commit.model_dump(mode="json"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "demo.yaml").write_text("name: demo")
    settings = CoordinatorSettings(
        broker_url=SecretStr("redis://unused"),
        home=tmp_path / "runs",
        data_root=tmp_path,
        recipes_folder=recipes,
        reserve_bytes=0,
        run_admin_key=SecretStr("admin"),
        internal_key=SecretStr("internal"),
    )
    publisher = MemoryPublisher()
    app = build_app(settings, open_store(settings.store_url()), publisher, HandClock())
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        serving = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Server(f"http://127.0.0.1:{listener.getsockname()[1]}", publisher)
        finally:
            serving.should_exit = True
            thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(Endpoint(url=server.url, run_admin_key="admin")) as client:
        yield client


def test_a_run_from_its_start_to_its_results(server: Server, client: Client) -> None:
    assert client.reachable()
    run = client.create_run(SMALL_RUN, "once")
    assert client.create_run(SMALL_RUN, "once").id == run.id
    assert [one.id for one in client.runs().data] == [run.id]
    server.work(run.id)
    ended = client.run(run.id)
    assert (ended.state, ended.progress.steps_done) == (RunState.SUCCEEDED, ended.progress.steps_total)
    assert client.results(run.id).iterations[0].greedy == 0.5
    assert [one.index for one in client.iterations(run.id).data] == [1]
    assert len(client.checkpoints(run.id).data) == 3
    first = client.events(run.id, limit=2)
    further = client.events(run.id, after=first.last_id, limit=500)
    assert len(first.data) == 2 and first.data[-1] != further.data[0]
    assert client.extend(run.id, 1).state == RunState.RUNNING
    server.work(run.id)
    assert [one.index for one in client.iterations(run.id).data] == [1, 2]


def test_a_run_is_paused_resumed_and_cancelled_once(client: Client) -> None:
    run = client.create_run(SMALL_RUN)
    assert client.pause(run.id).state == RunState.PAUSED
    assert client.resume(run.id).state == RunState.RUNNING
    assert client.cancel(run.id).state == RunState.CANCELLED
    with pytest.raises(IllegalTransition):
        client.resume(run.id)


def test_what_the_coordinator_refuses_comes_back_as_its_error(server: Server, client: Client) -> None:
    with pytest.raises(NotFound, match="r-none"):
        client.run("r-none")
    with pytest.raises(InvalidRecipe) as refused:
        client.create_run(RunCreate(recipe="demo", overrides={"evolution.itertions": 2}))
    assert refused.value.field == "evolution.itertions"
    client.create_run(SMALL_RUN, "once")
    with pytest.raises(IdempotencyMismatch):
        client.create_run(RunCreate(recipe="demo"), "once")
    for key, error in ((None, Unauthenticated), ("wrong", Unauthenticated), ("internal", Forbidden)):
        with Client(Endpoint(url=server.url, run_admin_key=key)) as other, pytest.raises(error):
            other.create_run(SMALL_RUN)


def mstar(server: Server, *arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """The command line as a process, whose output holds nothing of the server's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MSTAR_")}
    env = kept | {"PYTHONPATH": os.pathsep.join(sys.path), "MSTAR_URL": server.url, "MSTAR_RUN_ADMIN_KEY": "admin"}
    command = [sys.executable, "-c", "from mstar.cli import main; main()", *arguments]
    return subprocess.run(command, env=env, cwd=cwd or "/", capture_output=True, text=True, timeout=60)


def test_json_is_all_that_is_printed_where_it_was_asked_for(server: Server, tmp_path: Path) -> None:
    recipe = tmp_path / "small.yaml"
    recipe.write_text(SMALL.model_dump_json())
    started = Run.model_validate_json(mstar(server, "run", "start", str(recipe), "--detach", "--json").stdout)
    listed = json.loads(mstar(server, "run", "list", "--json").stdout)
    assert [one["id"] for one in listed["data"]] == [started.id]
    for verb, state in (("pause", "paused"), ("resume", "running")):
        assert json.loads(mstar(server, "run", verb, "latest", "--json").stdout)["state"] == state
    server.work(started.id)
    watched = mstar(server, "run", "watch", "--json")
    assert json.loads(watched.stdout)["id"] == started.id
    assert "steps · succeeded" in watched.stderr
    assert json.loads(mstar(server, "run", "show", "latest", "--json").stdout) == json.loads(watched.stdout)
    assert json.loads(mstar(server, "run", "extend", "latest", "--json").stdout)["state"] == "running"


def test_people_are_told_what_comes_next(server: Server) -> None:
    started = mstar(server, "run", "start", "demo", "--set", "evolution.iterations=2", "--seed", "3", "--detach")
    assert started.returncode == 0, started.stderr
    run_id = started.stdout.split()[1]
    assert f"next: mstar run watch {run_id}" in started.stdout
    assert "demo" in mstar(server, "run", "list").stdout
    assert f"run {run_id} is cancelled" in mstar(server, "run", "cancel", run_id).stdout
    watched = mstar(server, "run", "watch")
    assert (watched.returncode, watched.stderr.splitlines()[-1]) == (1, f"error: run {run_id} was cancelled")
    assert mstar(server, "run", "list", "--state", "paused").stdout.startswith("no run matches (--archived")
    mstar(server, "run", "start", "demo", "--detach")
    newest = mstar(server, "run", "list", "--limit", "1")
    assert len(newest.stdout.splitlines()) == 1 and newest.stderr.startswith("older runs are left out")


def test_the_newest_run_is_the_server_s_unless_a_folder_is_named(server: Server, tmp_path: Path) -> None:
    old = finished_run()
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    (tmp_path / "runs" / "latest" / "results.json").write_text(old.model_dump_json())
    shown = mstar(server, "run", "show", cwd=tmp_path)
    assert old.id in shown.stdout, "a server without a run hides nothing"
    run_id = json.loads(mstar(server, "run", "start", "demo", "--detach", "--json").stdout)["id"]
    assert run_id in mstar(server, "run", "show", cwd=tmp_path).stdout
    assert old.id in mstar(server, "run", "show", "--home", "runs", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "start", "none", "--detach"), "there are: demo"),
        (("run", "start", "demo", "--home", "mine"), "leave out --home"),
        (("run", "start", "demo", "--set", "evolution.n=0", "--detach"), "evolution.n: "),
        (("run", "show", "r-none"), "r-none"),
        (("run", "watch", "r-none", "--json"), "r-none"),
        (("run", "watch"), "there is no run yet"),
        (("run", "cancel", "r-none"), "r-none"),
    ],
)
def test_what_the_server_refuses_is_said_in_one_line(server: Server, arguments: tuple[str, ...], said: str) -> None:
    done = mstar(server, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ") and said in done.stderr
    assert len(done.stderr.splitlines()) == 1
