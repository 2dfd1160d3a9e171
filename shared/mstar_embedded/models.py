"""A policy and a PRM alone on this machine, each with a model from a folder: what an evaluation needs of the stack."""

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mstar.errors import Unavailable
from mstar_embedded.ports import HOST, free_ports
from mstar_embedded.processes import ProcessSpec
from mstar_embedded.supervisor import Notice, Supervisor

LOAD_SECONDS = 3600.0
"""A large model comes from a slow disk."""
_FAILED = "model of the settings not loaded"
"""What a service logs when it stays up without its model."""


@contextmanager
def served_models(
    home: Path, folders: Mapping[str, Path], notice: Notice = lambda line: None
) -> Iterator[tuple[Supervisor, dict[str, str]]]:
    """The services that `folders` names (`policy`, `prm`), ready, with their URLs, while the block runs.

    Raises Unavailable with the reason when a model cannot be loaded.
    """
    ports = free_ports()
    addresses = {"policy": (ports.policy, ports.policy_url), "prm": (ports.prm, ports.prm_url)}
    wanted = {name: (folder, *addresses[name]) for name, folder in folders.items()}
    home.mkdir(parents=True, exist_ok=True)
    specs = [
        ProcessSpec(
            name,
            (sys.executable, "-m", f"mstar_{name}"),
            {
                f"MSTAR_{name.upper()}_{key}": value
                for key, value in {
                    "HOST": HOST, "PORT": str(port), "HOME": str(home.absolute()), "MODEL": str(folder.absolute()),
                }.items()
            },
            f"{url}/livez",
        )
        for name, (folder, port, url) in wanted.items()
    ]  # fmt: skip
    logs = home.absolute() / ".mstar" / "logs"
    # Logs are added to: what an earlier start wrote must not be taken for this one's.
    sizes = {name: log.stat().st_size if (log := logs / f"{name}.log").is_file() else 0 for name in wanted}
    with Supervisor(home, ports, notice, specs) as supervisor:
        for name, (_, _, url) in wanted.items():
            _await_model(name, url, logs / f"{name}.log", sizes[name], supervisor)
        yield supervisor, {name: url for name, (_, _, url) in wanted.items()}


def _await_model(name: str, url: str, log: Path, begin: int, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + LOAD_SECONDS
    while not _ready(url):
        failed = [line for line in _since(log, begin) if _FAILED in line]
        if failed:
            raise Unavailable(f"the {name} could not load its model: {reason_of(failed[-1], log)}")
        if supervisor.failure is not None:
            raise Unavailable(supervisor.failure)
        if time.monotonic() > deadline:
            raise Unavailable(f"the {name} did not load its model within {LOAD_SECONDS:.0f} s: see {log}")
        time.sleep(0.2)


def reason_of(line: str, log: Path) -> str:
    """What a line of a service's log says was wrong, without what only its developers read; else where the log is."""
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return line[:600]
    # Without a detail it is an error that nobody expected. Its trace ends with what it was; the log may lie in a folder
    # that goes away with the services.
    trace = str(said.get("exception") or "").strip().splitlines()
    return str(said.get("detail") or (trace[-1].strip()[:600] if trace else f"see {log}"))


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as reply:  # noqa: S310 - our own http URL
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _since(log: Path, begin: int) -> list[str]:
    if not log.is_file():
        return []
    with log.open("rb") as file:
        # Shorter than it was: it was begun anew meanwhile.
        file.seek(begin if begin <= log.stat().st_size else 0)
        return file.read().decode(errors="replace").splitlines()
