"""Every container of the chart as a process of this machine: own commands, own environments, until its probe passes.

Then the chart's test hooks run against them. What this leaves out: the queue's own probe, whose client comes with its
image, and a whole run, which goes through the same processes in the test of the compose file.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from chart_bench import CHART, OPENING, named, render
from mstar_artefacts.store import ArtefactStore
from mstar_embedded.processes import server_binary
from policy_bench import checkpoint

ROOT = CHART.parents[1]
PORTS = {"coordinator": "MSTAR_COORDINATOR_PORT", "policy": "MSTAR_POLICY_PORT", "prm": "MSTAR_PRM_PORT"}


class LocalRelease:
    """A release for CPUs whose containers run here, with their volumes as folders."""

    def __init__(self, home: Path, values: dict[str, Any]) -> None:
        self.home = home
        self.objects = render(values)
        *ports, self.broker_port = _free_ports(len(PORTS) + 1)
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in zip(PORTS, ports, strict=True)}
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self._secrets = {name: _entries(one) for name, one in named(self.objects, "Secret").items()}

    def containers(self, kind: str) -> dict[str, dict[str, Any]]:
        """Component → its container."""
        found = {}
        for name, one in named(self.objects, kind).items():
            containers = one["spec"]["template"]["spec"]["containers"]
            names = [container["name"] for container in containers]
            found |= dict(
                zip([name.removeprefix("demo-mstar-")] if len(names) == 1 else names, containers, strict=True)
            )
        return found

    def environment(self, container: dict[str, Any]) -> dict[str, str]:
        """What the kubelet would make of the container's variables, with this machine's addresses and folders."""
        made: dict[str, str] = {}
        for entry in container.get("env", []):
            reference = entry.get("valueFrom", {}).get("secretKeyRef")
            value = self._secrets[reference["name"]][reference["key"]] if reference else entry["value"]
            made[entry["name"]] = re.sub(r"\$\((\w+)\)", lambda found: made[found[1]], value)
        return {name: self.here(value) for name, value in made.items()}

    def here(self, text: str) -> str:
        """The text with this machine's addresses and folders."""
        people = named(self.objects, "Service")["demo-mstar-prm"]["spec"]["selector"]["app.kubernetes.io/component"]
        services = {"coordinator:8400": "coordinator", "policy:8401": "policy", "prm-replicas:8402": "prm"}
        for address, component in (services | {"prm:8402": people}).items():
            text = text.replace(f"http://demo-mstar-{address}", self.urls[component])
        text = text.replace("demo-mstar-redis:6379", f"127.0.0.1:{self.broker_port}").replace("0.0.0.0", "127.0.0.1")
        return re.sub(r"(?<![\w.-])/(data|truth)\b", lambda found: str(self.home / found[1]), text)

    def start(self, stack: ExitStack) -> None:
        for folder in ("data", "truth", "queue"):
            (self.home / folder).mkdir()
        broker = self.containers("StatefulSet")["redis"]
        command = broker["command"][-1].replace("/data", str(self.home / "queue"))
        server = f"{server_binary()} --bind 127.0.0.1 --port {self.broker_port}"
        self._run(stack, "redis", ["sh", "-c", command.replace("valkey-server", server)], self.environment(broker))
        for name, container in self.containers("Deployment").items():
            image = re.sub(r".*mstar-([a-z]+):.*", r"\1", container["image"])
            dockerfile = (ROOT / "docker" / f"{image}.Dockerfile").read_text()
            entry = json.loads(re.findall(r"^ENTRYPOINT (\[.*\])$", dockerfile, re.M)[-1])
            baked = {key: self.here(value) for key, value in re.findall(r"(MSTAR_[A-Z_]+)=(\S+)", dockerfile)}
            (self.home / f"tmp-{name}").mkdir()
            values = baked | self.environment(container) | {"TMPDIR": str(self.home / f"tmp-{name}")}
            if name in PORTS:
                values[PORTS[name]] = self.urls[name].rpartition(":")[2]
            self._run(stack, name, [sys.executable, *entry[1:], *container.get("args", [])], values)

    def _run(self, stack: ExitStack, name: str, command: list[str], values: dict[str, str]) -> None:
        with open(self.home / f"{name}.log", "wb") as log:
            child = subprocess.Popen(command, env=_outside() | values, cwd=self.home, stdout=log, stderr=log)
        self.children[name] = child
        stack.callback(_end, child)

    def until(self, true: Callable[[], bool], seconds: float = 120) -> None:
        """Wait for it; fail at once when a process ends, with its last lines."""
        deadline = time.monotonic() + seconds
        while not true():
            ended = [name for name, child in self.children.items() if child.poll() is not None]
            words = "\n".join(f"{name}: {(self.home / f'{name}.log').read_text()[-800:]}" for name in ended)
            assert not ended and time.monotonic() < deadline, words or "not within its time"
            time.sleep(0.2)

    def until_answers(self, service: str, path: str) -> None:
        self.until(lambda: _answers(self.urls[service] + path))

    def broker(self) -> "redis.Redis":
        password = self.environment(self.containers("StatefulSet")["redis"])["REDIS_PASSWORD"]
        return redis.Redis(port=self.broker_port, password=password)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _entries(secret: dict[str, Any]) -> dict[str, str]:
    # The chart writes plain text, which Kubernetes encodes.
    return {key: str(value) for key, value in secret["stringData"].items()}


def _outside() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MSTAR_")}
    own = {"PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'services'}", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return kept | own


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(30)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


@pytest.fixture(scope="module", params=["CPU", "CPU in place"])
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRelease]:
    made = LocalRelease(tmp_path_factory.mktemp("release"), OPENING[request.param])
    with ExitStack() as children:
        made.start(children)
        yield made


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False


def _passes(command: list[str], tmp: Path) -> bool:
    return subprocess.run([sys.executable, *command[1:]], env=_outside() | {"TMPDIR": str(tmp)}).returncode == 0


@pytest.mark.system
def test_the_probes_of_every_service_pass(release: LocalRelease) -> None:
    for name, container in release.containers("Deployment").items():
        if name in PORTS:
            for probe in (container["startupProbe"], container["livenessProbe"]):
                release.until_answers(name, probe["httpGet"]["path"])
    ready = release.containers("Deployment")["coordinator"]["readinessProbe"]["httpGet"]["path"]
    release.until_answers("coordinator", ready)


@pytest.mark.system
def test_the_probes_of_every_worker_pass(release: LocalRelease) -> None:
    for name, container in release.containers("Deployment").items():
        if name not in PORTS:
            for probe in (container["startupProbe"], container["livenessProbe"]):
                release.until(partial(_passes, probe["exec"]["command"], release.home / f"tmp-{name}"))


@pytest.mark.system
def test_every_worker_waits_at_the_queue(release: LocalRelease) -> None:
    workers = set(release.containers("Deployment")) - set(PORTS)
    assert workers == {"worker-rollout", "worker-score", "trainer"}
    with release.broker() as broker:
        release.until(lambda: sum(one["cmd"] == "brpop" for one in broker.client_list()) >= len(workers))


@pytest.mark.system
def test_the_hooks_of_helm_test_pass(release: LocalRelease) -> None:
    for name in ("coordinator", "prm"):
        release.until_answers(name, "/livez")
    checks = named(release.objects, "Pod")
    assert len(checks) == 5
    for name in sorted(checks, key=lambda one: (checks[one]["metadata"]["annotations"]["helm.sh/hook-weight"], one)):
        hook(release, checks[name])
    assert not list((release.home / "data").glob(".helm-test*"))


@pytest.mark.system
def test_the_scoring_hook_scores_as_soon_as_the_prm_has_weights(release: LocalRelease) -> None:
    release.until_answers("prm", "/livez")
    check = named(release.objects, "Pod")["demo-mstar-test-score"]
    assert "no weights are loaded" in hook(release, check)
    if "demo-mstar-gpus" in named(release.objects, "Deployment"):
        return  # Without a run it sleeps, and takes no weights.
    ref = checkpoint(ArtefactStore(release.home / "data"), "r1/prm/train", seed=1)
    key = release.environment(release.containers("Deployment")["prm"])["MSTAR_PRM_WEIGHTS_ADMIN_KEY"]
    update = {"artefact": ref.id, "manifest_sha256": ref.sha256}
    loaded = httpx2.put(
        f"{release.urls['prm']}/v1/weights", json=update, headers={"authorization": f"Bearer {key}"}, timeout=60
    )
    assert loaded.status_code == 200, loaded.text
    assert hook(release, check).startswith(ref.version)


def hook(release: LocalRelease, pod: dict[str, Any]) -> str:
    """What a hook's container prints when it is run here; it must succeed."""
    (container,) = pod["spec"]["containers"]
    command = [sys.executable, *(release.here(part) for part in container["command"][1:])]
    environment = _outside() | release.environment(container)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{pod['metadata']['name']}: {done.stderr[-800:]}"
    return done.stdout
