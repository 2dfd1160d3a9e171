"""The stages of a run as a map: by phase, each with how it looks. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from mstar.api.live import StageProgress
from mstar.steps import Queue

SERVICES = {
    Queue.CONTROL.value: "coordinator",
    Queue.ROLLOUT.value: "policy",
    Queue.SCORE.value: "PRM",
    Queue.TRAIN.value: "trainer",
}
"""What people call the service behind a queue."""


@dataclass(frozen=True)
class MapStage:
    """A stage as the map shows it."""

    stage: StageProgress
    short: str
    """Its name without the phase."""
    look: str
    """`done`, `running`, `failed`, `due` or `waiting`."""


def phases(stages: Sequence[StageProgress]) -> list[tuple[str, list[MapStage]]]:
    """Phase → its stages, both in the order of the graph."""
    found: dict[str, list[MapStage]] = {}
    for stage in stages:
        phase, _, short = stage.name.partition("/")
        # `eval/<label>/<kind>`: what is evaluated belongs to the phase.
        if phase == "eval":
            label, _, short = short.partition("/")
            phase = f"evaluation of {label}"
        found.setdefault(phase, []).append(MapStage(stage, short or phase, look(stage)))
    return list(found.items())


def look(stage: StageProgress) -> str:
    """The most urgent thing that can be said of a stage."""
    if stage.failed:
        return "failed"
    if stage.done == stage.total:
        return "done"
    if stage.running:
        return "running"
    return "due" if stage.due else "waiting"
