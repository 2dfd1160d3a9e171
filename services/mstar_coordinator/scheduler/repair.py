"""Finds committed artefacts of a run that are damaged now, and reruns the steps that made them.

A step that is done again and leaves what it left before (the same manifest, hash by hash) changes nothing else: what
hangs on it stays. Only where it leaves something else are the steps that read it done again as well, and so on.
"""

import gzip
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mstar.evolution import RunEvent, RunState, reads, transition
from mstar.stages.publish import PUBLISH, PublishParams
from mstar.step_names import PREPARE
from mstar.steps import ArtefactRef, DoneResult
from mstar.types import Question, Sha256
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import TABLE, ArtefactStore
from mstar_coordinator.export.folders import digest_of_all
from mstar_coordinator.scheduler.reopening import Loss
from mstar_coordinator.scheduler.run_lifecycle import RunLifecycle
from mstar_coordinator.store.database import Store
from mstar_coordinator.store.records import StepRecord, StepState


@dataclass(frozen=True)
class Findings:
    """What was looked at, and what is wrong with it."""

    checked: int
    """Artefacts that were read."""
    lost: dict[str, Loss]
    """By step, in the order of the graph."""


class Repair:
    """Checks the artefacts of runs; the lifecycle then has the damaged ones made again."""

    def __init__(
        self,
        store: Store,
        artefacts: ArtefactStore,
        images: ImageStore,
        lifecycle: RunLifecycle,
        folder: Callable[[str], Path],
    ) -> None:
        """`folder`: that of a run by its id, where what it publishes stands."""
        self._folder = folder
        self._store = store
        self._artefacts = artefacts
        self._images = images
        self._lifecycle = lifecycle

    def resume(self, run_id: str) -> Findings:
        """Go on with a paused or failed run, once what the rest of it reads is checked.

        What no step reads any more is passed over: an old checkpoint that somebody removed to save room is not trained
        again. Raises NotFound or IllegalTransition.
        """
        state, steps = self._look(run_id, RunEvent.RESUME)
        findings = self._check(steps, _wanted(steps), images=state is RunState.FAILED)
        self._lifecycle.resume(run_id, findings.lost)
        return findings

    def repair(self, run_id: str) -> Findings:
        """Check every artefact and image of a run and what it has published; change nothing where all are whole.

        What was removed on purpose is made again only where something that reads it is.
        Raises NotFound or IllegalTransition.
        """
        _, steps = self._look(run_id, RunEvent.REPAIR)
        wanted = {name for name, step in steps.items() if not step.removed}
        published = self._unpublished(run_id, steps)
        # To publish again takes what was published, which may have been removed.
        wanted |= {name for one in published for name in reads(steps[one].spec)}
        findings = self._check(steps, wanted, images=True)
        # The look takes minutes without a lock: what somebody else had made again meanwhile is whole now.
        lost = {name: loss for name, loss in findings.lost.items() if self._still(loss)} | published
        return Findings(findings.checked, self._lifecycle.repair(run_id, lost) if lost else {})

    def _still(self, loss: Loss) -> bool:
        """Whether what was found damaged still is."""
        if loss.left is None:
            return True
        if loss.intact:
            return bool(self._discard_images(loss.left))
        return self._artefacts.damage(loss.left) is not None

    def _unpublished(self, run_id: str, steps: Mapping[str, StepRecord]) -> dict[str, Loss]:
        """The run's last publication, where some of what it left is gone or is not what it was."""
        done = [one for one in steps.values() if one.spec.params.kind == PUBLISH.kind and one.state is StepState.DONE]
        if not done:
            return {}
        last = max(done, key=lambda step: step.position)
        changed = _changed(last, self._folder(run_id))
        reason = f"{', '.join(changed)} of the run's folder is gone or changed"
        return {last.name: Loss(None, reason, intact=True)} if changed else {}

    def _look(self, run_id: str, event: RunEvent) -> tuple[RunState, dict[str, StepRecord]]:
        """State and steps of a run that takes the event."""
        with self._store.reading() as tx:
            state = tx.runs.get(run_id).state
            transition(state, event)
            return state, {step.name: step for step in tx.steps.of_run(run_id)}

    def _check(self, steps: Mapping[str, StepRecord], wanted: Collection[str], *, images: bool) -> Findings:
        lost: dict[str, Loss] = {}
        checked: set[str] = set()
        open_ = list(wanted)
        while open_:
            step = steps[open_.pop()]
            if step.name in checked or step.state is not StepState.DONE or step.artefact is None:
                continue
            checked.add(step.name)
            reason = self._artefacts.damage(step.artefact)
            if reason is not None:
                lost[step.name] = Loss(step.artefact, reason)
                # To make it again takes what it was made of.
                open_ += reads(step.spec)
        prepared = steps[PREPARE].artefact if steps[PREPARE].state is StepState.DONE else None
        # Which images there are is not known while the questions themselves are damaged; a second look finds them.
        if images and prepared is not None and PREPARE not in lost and (gone := self._discard_images(prepared)):
            reason = f"image {gone[0]} is missing or does not have its hash (one of {len(gone)})"
            lost[PREPARE] = Loss(prepared, reason, intact=True)
        return Findings(len(checked), dict(sorted(lost.items(), key=lambda one: steps[one[0]].position)))

    def _discard_images(self, prepared: ArtefactRef) -> list[Sha256]:
        """Remove the damaged images of a run's questions, since an image that is there is not stored again."""
        lost = self._images.damaged(
            image for question in _questions(self._artefacts, prepared) for image in question.images
        )
        still = []
        for digest in lost:
            # Looked at once more: the others took minutes, in which a run that goes on may have stored it anew.
            if self._images.damaged([digest]):
                self._images.discard(digest)
                still.append(digest)
        return still


def _changed(published: StepRecord, folder: Path) -> list[str]:
    """What a publication has left in the run's folder and is not there as it was."""
    params, result = published.spec.params, published.result
    if isinstance(result, DoneResult) and result.left is not None:
        return [place for place, digest in result.left.items() if digest_of_all(folder / place) != digest]
    # Published by a release that took no digests.
    places = params.places if isinstance(params, PublishParams) else ()
    return [place for place in places if not (folder / place).exists()]


def _wanted(steps: Mapping[str, StepRecord]) -> set[str]:
    """Names of what those steps read that are still to be done."""
    return {name for step in steps.values() if step.state is not StepState.DONE for name in reads(step.spec)}


def _questions(artefacts: ArtefactStore, prepared: ArtefactRef) -> Iterator[Question]:
    for path in sorted(artefacts.verify(prepared, "questions").glob(f"*{TABLE}")):
        with gzip.open(path, "rb") as lines:
            for line in lines:
                yield Question.model_validate_json(line)
