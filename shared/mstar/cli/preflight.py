"""What `docker compose up` will need on this machine: the engine, Compose, the keys in .env and, for GPUs, the toolkit.

Says what is missing and how to get it, and which files to use where there is no GPU; starts and changes nothing.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

Finding = tuple[str, bool, str]
Ask = Callable[[Sequence[str]], str | None]
"""Runs a command and gives what it printed; None where it is not there or fails."""

ON_A_CPU = "`docker compose -f docker-compose.yml -f docker-compose.cpu.yml up -d` runs without a GPU"
SERVICES = ("POLICY_GPUS", "PRM_GPUS", "TRAINER_GPUS")
_TIMEOUT_SECONDS = 20
_URL_SAFE = re.compile(r"[A-Za-z0-9._~-]+")


def ask(command: Sequence[str]) -> str | None:
    """What a command of this machine printed; None where it is missing, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None


def preflight(folder: Path, ask: Ask = ask) -> Iterator[Finding]:
    """Findings for the compose file in `folder`; the later ones make sense only where Docker answers."""
    yield _compose(ask)
    yield _keys(folder)
    info = ask(("docker", "info", "--format", "{{json .}}"))
    if info is None:
        yield "docker", False, "the engine does not answer: start it, or let your user reach it (group docker)"
        return
    yield "docker", True, "the engine answers"
    yield _gpu(folder, info, ask)


def _compose(ask: Ask) -> Finding:
    """The plugin, or the standalone program of version 2 or newer."""
    plugin = ask(("docker", "compose", "version", "--short"))
    if plugin is not None:
        return "compose", True, plugin.strip()
    alone = (ask(("docker-compose", "version", "--short")) or "").strip()
    major = re.match(r"v?(\d+)\.", alone)
    if major and int(major[1]) >= 2:
        return "compose", True, f"{alone} as `docker-compose`: type that where the pages say `docker compose`"
    old = f"`docker-compose` {alone} is too old" if alone else "not found"
    return "compose", False, f"{old}: install Docker Engine with its Compose plugin"


def _keys(folder: Path) -> Finding:
    """Every name that .env.example leaves empty must have a value in .env; passwords go into URLs as they are."""
    example, filled = folder / ".env.example", folder / ".env"
    if not example.exists():
        return ".env", False, f"{folder} has no .env.example: run this in a checkout of the project"
    if not filled.exists():
        return ".env", False, "not there: `cp .env.example .env`, then fill in the keys"
    wanted = re.findall(r"^(\w+)=$", example.read_text(), re.M)
    given = _given(filled)
    missing = [name for name in wanted if name not in given]
    if missing:
        return ".env", False, f"empty: {', '.join(missing)}"
    # Compose puts them into database and broker URLs unquoted: an `@` or `/` would cut the host off.
    torn = [name for name in wanted if name.endswith("_PASSWORD") and not _URL_SAFE.fullmatch(given[name].strip("\"'"))]
    if torn:
        return ".env", False, f"{torn[0]} becomes part of a URL: use letters, digits and . _ ~ - only"
    return ".env", True, "every key has a value"


def _given(filled: Path) -> dict[str, str]:
    """The variables of .env that have a value."""
    text = filled.read_text() if filled.exists() else ""
    return dict(re.findall(r"^(\w+)=[ \t]*(\S.*?)[ \t]*$", text, re.M))


def _gpu(folder: Path, info: str, ask: Ask) -> Finding:
    """Docker hands GPUs out through NVIDIA's toolkit: its runtime, its hook, or devices it described by CDI."""
    listed = ask(("nvidia-smi", "-L"))
    if listed is None:
        return "gpu", True, f"none, or its driver does not answer; {ON_A_CPU}"
    engine = json.loads(info)
    described = any("nvidia.com/gpu" in device.get("ID", "") for device in engine.get("DiscoveredDevices") or ())
    hook = ask(("nvidia-container-cli", "--version")) is not None
    if described or hook or "nvidia" in (engine.get("Runtimes") or {}):
        return _named(folder, len(re.findall(r"^GPU \d+:", listed, re.M)))
    return (
        "gpu",
        False,
        (
            "the GPU works but Docker cannot hand it out: install the NVIDIA Container Toolkit, then"
            f" `sudo nvidia-ctk runtime configure --runtime=docker` and restart Docker; {ON_A_CPU}"
        ),
    )


def _named(folder: Path, there: int) -> Finding:
    """Whether the GPUs that .env names are there, and which it leaves idle."""
    given = _given(folder / ".env")
    named = {gpu.strip() for service in SERVICES for gpu in given.get(service, "0").strip("\"'").split(",")}
    known = {str(number) for number in range(there)}
    strange = sorted(gpu for gpu in named - known if not gpu.startswith(("GPU-", "MIG-")))
    if strange:
        return "gpu", False, f"{', '.join(SERVICES)} name {', '.join(strange)}, but nvidia-smi lists 0 to {there - 1}"
    idle = sorted(known - named, key=int)
    if idle and named <= known:
        detail = f"Docker can hand out NVIDIA GPUs; no service in .env uses {', '.join(idle)} ({', '.join(SERVICES)})"
        return "gpu", True, detail
    return "gpu", True, "Docker can hand out NVIDIA GPUs"
