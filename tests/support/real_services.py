"""Coordinator, policy and PRM as real processes, each with its settings from the environment and a small model."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from mstar_embedded.ports import free_ports
from policy_bench import save_model
from warm_starts import LIBRARIES

ROOT = Path(__file__).parents[2]


@contextmanager
def service(name: str, home: Path, **settings: object) -> Iterator[str]:
    """The URL of a service that is ready."""
    port = free_ports().coordinator
    settings |= {"home": home, "port": port}
    environment = {f"MSTAR_{name.upper()}_{key.upper()}": str(value) for key, value in settings.items()}
    paths = f"{ROOT / 'shared'}:{ROOT / 'services'}"
    with (home / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", f"mstar_{name}"],
            env=environment | LIBRARIES | {"PYTHONPATH": paths, "PATH": os.environ["PATH"]},
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 120
        while not _ready(url):
            assert child.poll() is None and time.monotonic() < end, (home / "log").read_text()
            time.sleep(0.1)
        yield url
        assert child.poll() is None, "the service is still there"
        assert "Traceback" not in (home / "log").read_text()
    finally:
        child.terminate()
        child.wait(30)


def _ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz").status_code == 200
    except httpx2.TransportError:
        return False


@contextmanager
def coordinator(home: Path) -> Iterator[str]:
    nowhere = f"redis+socket://{home}/none.sock?virtual_host=0"
    with service("coordinator", home, broker_url=nowhere, prm_url="http://127.0.0.1:9", reserve_bytes=0) as url:
        yield url


@contextmanager
def brief_policy(home: Path) -> Iterator[str]:
    """One whose responses are short: samples for each of many odd requests would take minutes."""
    with policy(home, brief=True) as url:
        yield url


@contextmanager
def policy(home: Path, *, brief: bool = False) -> Iterator[str]:
    # Few rows at a time: a thousand samples for each of many odd requests would take minutes.
    save_model(home / "model", seed=1, brief=brief)
    with service("policy", home, model=home / "model", engine="transformers", waiting_rows=32) as url:
        yield url


@contextmanager
def prm(home: Path) -> Iterator[str]:
    save_model(home / "model", seed=1)
    with service("prm", home, model=home / "model", engine="transformers") as url:
        yield url
