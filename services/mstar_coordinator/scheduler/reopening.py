"""Reruns finished steps, and after them the steps that read them if their output has changed."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from mstar.api.steps import Commit
from mstar.evolution import reads
from mstar.steps import ArtefactRef
from mstar_coordinator.store.database import Transaction
from mstar_coordinator.store.records import StepRecord, StepState

Discard = Callable[[str], None]
"""Removes an artefact by its id."""
SHOWN = 5
"""Names in a message; a stage may have thousands of shards."""


@dataclass(frozen=True)
class Loss:
    """What is damaged of what a step had left."""

    left: ArtefactRef | None
    """As it was committed; None where it stands in the run's folder and is not an artefact."""
    reason: str
    intact: bool = False
    """The artefact itself is whole; images that the step stored are not."""


def reopen(tx: Transaction, run_id: str, steps: Collection[StepRecord], discard: Callable[[StepRecord], None]) -> None:
    """Have steps done again. Whoever reads one and is at work loses the lease; what is done by then stays.

    Files go last: a step whose files are gone while the database still has it done is found as damaged next time.
    """
    names = {step.name for step in steps}
    readers = [step for step in tx.steps.leased(run_id) if not names.isdisjoint(reads(step.spec))]
    tx.steps.reopen([step.id for step in (*steps, *readers)])
    tx.steps.recount(run_id)
    for step in steps:
        discard(step)


def differs(step: StepRecord, commit: Commit) -> bool:
    """Whether a step that was done before has now left something else than then; False where it is its first time."""
    if step.artefact is not None:
        return commit.artefact != step.artefact
    # What leaves no artefact is known by its result: a temperature, or a line of the table.
    return step.result is not None and commit.result != step.result


def reopen_readers(tx: Transaction, run_id: str, step: StepRecord, discard: Discard) -> list[str]:
    """Have the steps done again that read one which has changed; their names, in the order of the graph.

    Only those that read it directly: what they leave decides whether the ones after them follow.
    """
    readers = [
        one
        for one in tx.steps.of_run(run_id)
        if step.name in reads(one.spec) and one.state in (StepState.DONE, StepState.LEASED)
    ]
    if readers:
        # A worker that adopted what the last attempt left would adopt what was made of the old input.
        reopen(tx, run_id, readers, lambda one: discard(f"{run_id}/{one.name}"))
    return [one.name for one in readers]


def listed(names: Collection[str]) -> str:
    """Some names and how many more there are."""
    shown = ", ".join(list(names)[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
