"""Loads the models of a recipe and runs each once, in a limited child process, before a run on them is queued.

Where torch is not installed, as in the coordinator's image, or for a model that is too large, the services do the same
with the weights that they load first. The child has bounds of time and memory and no network. What this leaves out: the
models that ship, and what `model_check` sees in the folder without torch.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import structlog

from mstar.errors import InvalidInput
from mstar.limited import child_environment
from mstar.model_folder import check_weights, model_files
from mstar.recipes import Recipe
from mstar.run_plan import GIGA
from mstar_coordinator.config import ModelRules
from mstar_coordinator.scheduler.ports import Clock

MODEL_CHILD = "mstar_models.forward_check"
PRM_CHILD = "mstar_prm.forward_check"
OWN_BYTES = 4 * 2**30
"""What torch and a small model need in the child, beside the weights."""
WEIGHTS_TIMES = 3
"""Weights of two bytes become four bytes a number on a CPU, and one tensor is held twice while it is read."""
CPU_TIMES = 4
"""Processor time of the child, in seconds of its time on the clock: several cores may work."""
REMEMBERED = 64
READY = "ready"
LATER = "the service that loads it first"

log = structlog.get_logger(__name__)
Start = Callable[[Sequence[str], float], tuple[int, str]]
"""Runs a command for this many seconds at most: its status, and what it wrote. Raises subprocess.TimeoutExpired."""
Known = tuple[str, Path, tuple[tuple[str, int, int], ...]]
"""A child, a folder, and name, size and time of each of its files."""


def start(command: Sequence[str], seconds: float) -> tuple[int, str]:
    """A `Start`."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, env=child_environment(), check=False
    )
    if not done.stdout.startswith(READY):
        log.error("models cannot be tried here", command=command[2], status=done.returncode, said=done.stderr[-500:])
    return done.returncode, done.stdout


@dataclass
class ModelTrial:
    """One child at a time. Thread-safe; a folder that passed and has not changed since is not tried again."""

    largest_bytes: int
    """Weights beyond this are not loaded here: only their names and shapes are compared."""
    seconds: float
    """For all models of one request together."""
    trusted: str = ""
    """Code from model folders that the operator allows, as in the settings."""
    installed: Callable[[str], bool] = lambda module: find_spec(module.partition(".")[0]) is not None
    start: Start = start
    clock: Clock = time.monotonic
    _turn: Lock = field(default_factory=Lock)
    _passed: dict[Known, bool] = field(default_factory=dict)

    def check(self, *recipes: Recipe) -> str:
        """What was done, in a sentence for each model; empty for the ones that ship.

        `recipes`: as they were admitted. Models that several of them name are tried once.
        Raises InvalidInput for a model that cannot work.
        """
        # Set before the wait for the turn: a request takes this many seconds, however many models it names.
        until = self.clock() + self.seconds
        # By child and folder, which decide what is found out; the first recipe says how a model is called.
        named = {(child, folder): (name, field) for one in recipes for name, field, child, folder in _models(one)}
        return "; ".join(
            f"{name} {self._tried(field, child, folder, until)}" for (child, folder), (name, field) in named.items()
        )

    def _tried(self, field: str, child: str, folder: Path, until: float) -> str:
        if not (self.installed("torch") and self.installed(child)):
            return f"is run once by {LATER}, since torch is not installed here"
        size = check_weights(folder)
        whole = size <= self.largest_bytes
        # Looked at before the child reads them: a file that changes meanwhile is tried again the next time.
        files = ((path, path.stat()) for path in model_files(folder))
        known = child, folder, tuple((path.name, stat.st_size, stat.st_mtime_ns) for path, stat in files)
        if not self._turn.acquire(timeout=max(0.0, until - self.clock())):
            return f"is run once by {LATER}, since other models are being tried"
        try:
            # Asked within the lock, so that equal requests at the same time start one child.
            if known not in self._passed and (undecided := self._run(field, child, folder, size, until, whole=whole)):
                return undecided
            if len(self._passed) >= REMEMBERED:
                self._passed.clear()
            self._passed[known] = True
        finally:
            self._turn.release()
        if whole:
            return "was loaded and run once"
        return (
            f"has all tensors in the right shapes; it is larger than {self.largest_bytes / GIGA:g} GB, so {LATER} "
            "runs it once"
        )

    def _run(self, field: str, child: str, folder: Path, size: int, until: float, *, whole: bool) -> str:
        """Why the child found nothing out; empty: the model is good. Raises InvalidInput for one that is not."""
        left = until - self.clock()
        if left <= 0:
            return f"is run once by {LATER}, since {self.seconds:g} s are over"
        memory = OWN_BYTES + (WEIGHTS_TIMES * size if whole else 0)
        bounds = str(memory), str(int(CPU_TIMES * self.seconds) + 1)
        how = "forward" if whole else "shapes"
        try:
            status, said = self.start([sys.executable, "-m", child, str(folder), how, *bounds, self.trusted], left)
        except subprocess.TimeoutExpired:
            return f"was not loaded within {self.seconds:g} s; {LATER} runs it once"
        ready, _, answer = said.partition("\n")
        if ready != READY:
            return f"is run once by {LATER}, since torch cannot be loaded here"
        _require_good(field, answer, status, memory)
        return ""


def trial_of(rules: ModelRules) -> ModelTrial:
    """The trial that the settings ask for."""
    return ModelTrial(int(GIGA * rules.model_check_gb), rules.model_check_seconds, rules.trusted_code)


def _models(recipe: Recipe) -> Iterator[tuple[str, str, str, Path]]:
    """Each of the user's own models: what it is called, its field, the child that tries it, and its folder."""
    named = {field: base for field, base in recipe.named_models.items() if not base.startswith("builtin:")}
    if "model.base" in named:
        yield "the base model", "model.base", MODEL_CHILD, Path(named["model.base"])
    if "prm.base" in named:
        # One that is trained begins as a model that writes, whatever it becomes.
        trained = recipe.prm is not None and recipe.prm.train is not None
        yield "the PRM", "prm.base", MODEL_CHILD if trained else PRM_CHILD, Path(named["prm.base"])


def _require_good(field: str, answer: str, status: int, memory: int) -> None:
    """Raises InvalidInput for a problem, or a child that ended without an answer."""
    try:
        problem = json.loads(answer)["problem"]
    except ValueError:
        problem = (
            f"the process that loads the model ended with status {status} under a limit of {memory / GIGA:.0f} GB: "
            "config.json asks for more than the weights hold, or files are damaged"
        )
    if problem is not None:
        raise InvalidInput(f"{field}: {problem}", field=field)
