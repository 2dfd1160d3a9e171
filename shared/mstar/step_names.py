"""How steps are named: `phase/kind/shard`, such as `it02/select/0007`; the one place that writes or reads these paths.

A phase is `warmup`, `reward` or an iteration (`it02`); what belongs to no phase (`prepare`, `publish/04`) is named here
as well. A stage is a step's name without its shard number: all shards of one kind in one phase.
"""

import re

PREPARE = "prepare"
BASE = "base"
"""Label of the policy that a run begins with."""
WARMUP = "warmup"
REWARD = "reward"
COLLECT = f"{REWARD}/collect"
FETCH = f"{REWARD}/fetch"
"""Brings the reward model that a recipe names."""
MEASURE = "measure"
"""Makes the tables of an evaluation."""

# Two digits or more, as they are written, so that names sort up to 99 and `it1x` is not an iteration.
_ITERATION = re.compile(r"it(\d{2,})(?:/|$)")


def iteration_phase(number: int) -> str:
    """`it02`: the phase of an iteration (1-based), which is also the label of the policy that it makes."""
    return f"it{number:02d}"


def iteration_of(name: str) -> int | None:
    """Number of the iteration that a step, stage or label belongs to; None where it belongs to none."""
    found = _ITERATION.match(name)
    return int(found.group(1)) if found else None


def sampling_phase(iteration: int) -> str:
    """The phase that samples what an iteration's policy is trained on; 0 is the warm-up."""
    return iteration_phase(iteration) if iteration else WARMUP


def step_name(*parts: str, shard: int | None = None) -> str:
    """A path of its parts, with a shard number of four digits or more at its end."""
    return "/".join(parts if shard is None else (*parts, f"{shard:04d}"))


def stage_of(name: str) -> str:
    """Group of a step: its name without the shard number."""
    head, _, tail = name.rpartition("/")
    return head if head and tail.isdigit() else name


def shard_of(name: str) -> int | None:
    """Shard number of a step, None for a step without one."""
    head, _, tail = name.rpartition("/")
    return int(tail) if head and tail.isdigit() else None


def sibling(name: str, kind: str) -> str:
    """The step that does `kind` for the same shard: `it02/generate/0007`, `select` → `it02/select/0007`."""
    *phase, _, shard = name.split("/")
    return step_name(*phase, kind, shard)


def train_step(phase: str) -> str:
    """The step that trains in a phase."""
    return step_name(phase, "train")


def choose_step(iteration: int) -> str:
    """The step that sets the temperature before an iteration."""
    return step_name(iteration_phase(iteration), "sweep", "choose")


def evaluation_step(label: str, kind: str = "evaluate", shard: int | None = None) -> str:
    """A step of the evaluation of the policy with this label: the last one, or a shard of a split or of its scores."""
    return step_name("eval", label, kind, shard=shard)


def publish_step(iterations: int) -> str:
    """The last step of a run of this many iterations."""
    return f"publish/{iterations:02d}"
