"""A release of the chart whose containers run as processes of this machine, with their volumes as folders.

What stands in for a cluster: folders for volumes, ports for Services, a queue server from a wheel with a small client
beside it, and an API server that keeps objects, for the coordinator that scales.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import redis

from chart_bench import CHART, named, render
from mstar_embedded.ports import free_ports
from mstar_embedded.processes import server_binary
from object_server import ObjectServer
from processes import end

ROOT = CHART.parents[1]
PORTS = {
    "coordinator": "MSTAR_COORDINATOR_PORT",
    "policy": "MSTAR_POLICY_PORT",
    "prm": "MSTAR_PRM_PORT",
    "scoring": "MSTAR_PRM_PORT",
}
"""Component → the variable of its port."""
CLIENT = """#!{python}
import os, redis
answer = redis.Redis(port={port}, password=os.environ["{prefix}CLI_AUTH"]).ping()
print("PONG" if answer else "")
"""


class LocalRelease:
    """A release whose containers run here. `queue`: what the server's programs are called, valkey or redis."""

    def __init__(self, home: Path, values: dict[str, Any], queue: str = "valkey") -> None:
        self.home = home
        self.objects = render(values)
        self.cluster = ObjectServer()
        *ports, self.broker_port = _free_ports(len(PORTS) + 1)
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in zip(PORTS, ports, strict=True)}
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self._queue = queue
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
        return re.sub(r"(?<![\w.-])/(data|database|etc/mstar)\b", lambda found: str(self.home / found[1]), text)

    def start(self, stack: ExitStack, only: set[str] | None = None) -> None:
        """Start the queue and every container of a Deployment, or `only` those."""
        for folder in ("data", "database", "queue", "bin", "etc/mstar"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        stack.enter_context(self.cluster)
        for one in self.objects:
            if one["kind"] in ("Deployment", "ConfigMap"):
                self.cluster.hold(one)
            for name, text in one.get("data", {}).items():
                (self.home / "etc" / "mstar" / name).write_text(text)
        if only is None:
            self._start_queue(stack)
        for name, container in self.containers("Deployment").items():
            if only is None or name in only:
                self._run(stack, name, self.command(container), self.values(name, container))

    def _start_queue(self, stack: ExitStack) -> None:
        """With programs of the names that its image has, on a port of this machine."""
        server = f'#!/bin/sh\nexec {server_binary()} --bind 127.0.0.1 --port {self.broker_port} "$@"\n'
        cli = CLIENT.format(python=sys.executable, port=self.broker_port, prefix=self._queue.upper())
        for name, text in (("server", server), ("cli", cli)):
            program = self.home / "bin" / f"{self._queue}-{name}"
            program.write_text(text)
            program.chmod(0o755)
        broker = self.containers("StatefulSet")["redis"]
        command = [part.replace("/data", str(self.home / "queue")) for part in broker["command"]]
        self._run(stack, "redis", command, self.environment(broker) | self._path())

    def command(self, container: dict[str, Any]) -> list[str]:
        """The image's own command with the container's arguments."""
        _, entry = self._image(container)
        if entry[-1] == "mstar_coordinator" and "args" not in container and self._scales(container):
            entry = ["python", str(ROOT / "tests" / "support" / "coordinator_in_cluster.py"), self.cluster.url]
        return [sys.executable, *entry[1:], *container.get("args", [])]

    def values(self, name: str, container: dict[str, Any]) -> dict[str, str]:
        """Environment of the image, then of the chart, then of this machine."""
        dockerfile, _ = self._image(container)
        baked = {key: self.here(value) for key, value in re.findall(r"(MSTAR_[A-Z_]+)=(\S+)", dockerfile)}
        tmp = self.home / f"tmp-{name}"
        tmp.mkdir(exist_ok=True)
        port = {PORTS[name]: self.urls[name].rpartition(":")[2]} if name in PORTS else {}
        return baked | self.environment(container) | port | {"TMPDIR": str(tmp)}

    def passes(self, name: str, container: dict[str, Any], probe: dict[str, Any]) -> bool:
        """What the kubelet would find."""
        if "httpGet" in probe:
            return _answers(self.urls[name] + probe["httpGet"]["path"])
        if "tcpSocket" in probe:
            with socket.socket() as there:
                return there.connect_ex(("127.0.0.1", self.broker_port)) == 0
        python, *rest = probe["exec"]["command"]
        command = [sys.executable if python == "python" else python, *rest]
        more = self._path() if name == "redis" else {"TMPDIR": str(self.home / f"tmp-{name}")}
        environment = outside() | self.environment(container) | more
        return subprocess.run(command, env=environment, capture_output=True).returncode == 0

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

    def _path(self) -> dict[str, str]:
        return {"PATH": f"{self.home / 'bin'}:{os.environ['PATH']}"}

    def _scales(self, container: dict[str, Any]) -> bool:
        return {"name": "MSTAR_COORDINATOR_GPU_SHARING", "value": "scaleToZero"} in container["env"]

    def _image(self, container: dict[str, Any]) -> tuple[str, list[str]]:
        """(Dockerfile, entry point) of the container's image."""
        image = re.sub(r".*mstar-([a-z]+):.*", r"\1", container["image"])
        dockerfile = (ROOT / "docker" / f"{image}.Dockerfile").read_text()
        return dockerfile, json.loads(re.findall(r"^ENTRYPOINT (\[.*\])$", dockerfile, re.M)[-1])

    def _run(self, stack: ExitStack, name: str, command: list[str], values: dict[str, str]) -> None:
        with open(self.home / f"{name}.log", "wb") as log:
            child = subprocess.Popen(command, env=outside() | values, cwd=self.home, stdout=log, stderr=log)
        self.children[name] = child
        stack.callback(end, child)


def outside() -> dict[str, str]:
    """Environment of this machine, without settings of ours."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MSTAR_")}
    own = {"PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'services'}", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return kept | own


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        found += vars(free_ports()).values()
    return found[:count]


def _entries(secret: dict[str, Any]) -> dict[str, str]:
    # The chart writes plain text, which Kubernetes encodes.
    return {key: str(value) for key, value in secret["stringData"].items()}


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False
