"""When a pod counts as ready: where services take turns, as soon as it lives; weights come with its first work.

The containers run here as processes, with the chart's own variables. What this leaves out: whose turn it is.
"""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chart_bench import CHART, OPENING, pods, render

ROOT = CHART.parents[1]
ON_CPUS: dict[str, Any] = {"policy": {"gpus": 0, "engine": "transformers"}, "prm": {"gpus": 0}}
IN_PLACE = OPENING["CPU in place"]
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def container(values: dict[str, Any], name: str) -> dict[str, Any]:
    """That of the pod that runs a model service of this name."""
    (found,) = (one for pod in pods(render(values)).values() for one in pod["containers"] if one["name"] == name)
    assert isinstance(found, dict)
    return found


@contextmanager
def running(one: dict[str, Any], home: Path) -> Iterator[str]:
    """URL of the container as a process of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = {entry["name"]: entry.get("value", f"key-of-{entry['name']}".lower()) for entry in one["env"]}
    given |= {name: "127.0.0.1" for name in given if name.endswith("_HOST")}
    given |= {name: str(port) for name in given if name.endswith("_PORT")}
    given |= {name: re.sub("^/data", str(home), value) for name, value in given.items()}
    outside = {key: value for key, value in os.environ.items() if not key.startswith("MSTAR_")}
    outside |= {"PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'services'}", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with open(home / f"{one['name']}.log", "wb") as log:
        command = [sys.executable, "-m", f"mstar_{one['name']}"]
        with subprocess.Popen(command, env=outside | given, cwd=home, stdout=log, stderr=log) as child:
            yield f"http://127.0.0.1:{port}"
            child.terminate()


def status(url: str, seconds: float = 120) -> int:
    """What it answers, once it does."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return httpx2.get(url).status_code
        except httpx2.TransportError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.2)


@pytest.mark.system
@pytest.mark.parametrize("name", ["policy", "prm"])
@pytest.mark.parametrize("values", [ON_CPUS, IN_PLACE], ids=["scaleToZero", "colocated"])
def test_every_probe_passes_without_weights(values: dict[str, Any], name: str, tmp_path: Path) -> None:
    one = container(values, name)
    asked = {one[probe]["httpGet"]["path"] for probe in PROBES if probe in one}
    assert asked
    with running(one, tmp_path) as url:
        assert {path: status(url + path) for path in asked} == dict.fromkeys(asked, 200)
        assert status(f"{url}/readyz") == 503, "it has no weights, which come with its first work"


def test_people_are_sent_to_pods_with_weights_only() -> None:
    for values, name in ((OPENING["dedicated"], "demo-mstar-prm"), (OPENING["nodes"], "demo-mstar-scoring")):
        (one,) = pods(render(values))[name]["containers"]
        assert one["readinessProbe"]["httpGet"]["path"] == "/readyz"
    (prm,) = pods(render(OPENING["nodes"]))["demo-mstar-prm"]["containers"]
    assert "readinessProbe" not in prm, "beside a scoring deployment people do not come here"
