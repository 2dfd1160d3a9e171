"""Reuses what another run has made already, if everything that determines it is equal (`mstar.step_keys`).

The arms of a study differ late: those of one seed share base, warm-up, labels and PRM, and often their first rollouts.
A step that is taken over is done at once, with the other run's artefact and result. Whether the artefact is whole is
seen when it is read, as always; `repair` has a damaged one made again in the run that reads it.
"""

import hashlib
from collections.abc import Callable, Mapping
from itertools import groupby

from mstar.errors import CorruptArtefact, NotFound
from mstar.step_keys import prepare_key, step_keys
from mstar.step_names import PREPARE
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.store.database import Transaction
from mstar_coordinator.store.records import RunRecord, StepRecord, StepState


class Reuse:
    """Marks steps of new runs as done, in the transaction that it is given. The caller holds the run's lock."""

    def __init__(self, artefacts: ArtefactStore, code: Callable[[], str]) -> None:
        """`code`: version of the code, which is part of every key."""
        self._artefacts = artefacts
        self._code = code

    def begin(self, tx: Transaction, run: RunRecord) -> None:
        """Take over what a new run shares with others; without data from folders that is known from its recipe."""
        key = prepare_key(run.recipe, self._code())
        if key is None:
            return
        steps = {step.name: step for step in tx.steps.of_run(run.id)}
        self._take(tx, run, steps, {PREPARE: key})
        self.follow(tx, run)

    def follow(self, tx: Transaction, run: RunRecord) -> None:
        """Take over what follows from `prepare`, once that is done."""
        steps = {step.name: step for step in tx.steps.of_run(run.id)}
        prepared = steps[PREPARE]
        if prepared.state is StepState.DONE and prepared.artefact is not None:
            try:
                contents = self.contents(prepared.artefact)
            except (NotFound, CorruptArtefact):
                # Whoever reads it next says so; sharing is a saving, and no reason to refuse a commit.
                return
            specs = [step.spec for step in steps.values()]
            self._take(tx, run, steps, step_keys(run.recipe, specs, contents, self._code()))

    def contents(self, prepared: ArtefactRef) -> str:
        """Hash of what an artefact holds, whatever it is called. Raises NotFound or CorruptArtefact."""
        files = sorted((one.name, one.digest) for one in self._artefacts.manifest(prepared).files)
        return hashlib.sha256(repr(files).encode()).hexdigest()

    def _take(self, tx: Transaction, run: RunRecord, steps: Mapping[str, StepRecord], keys: Mapping[str, str]) -> None:
        # Before it is looked for: what is found must not be removed until this run is known to need it.
        tx.runs.hold_made(to_remove=False)
        made = tx.steps.made(set(keys.values()), run.project)
        tx.steps.set_keys(run.id, keys)
        # A run that is done without some questions has other outputs than its keys say.
        short = {one.run_id for one in made.values() if tx.suspects.quarantined(one.run_id)}
        taken = [
            (steps[name], made[key])
            for name, key in keys.items()
            if key in made and made[key].run_id not in {run.id, *short} and self._is_there(made[key])
            and steps[name].state is StepState.PENDING
        ]  # fmt: skip
        taken.sort(key=lambda pair: pair[0].position)
        now = tx.now()
        for step, source in taken:
            assert source.result is not None
            tx.steps.finish(step.id, now, source.artefact, source.result)
        for (stage, source_run), group in groupby(taken, lambda pair: (pair[0].stage, pair[1].run_id)):
            count = len(list(group))
            message = f"{count} step{'s' if count > 1 else ''} reused from run {source_run}"
            tx.events.append(run.id, now, "step.reused", step=stage, message=message)
        if taken:
            tx.steps.recount(run.id)
            tx.runs.touch(run.id, now, shown=True)

    def _is_there(self, source: StepRecord) -> bool:
        return source.artefact is None or self._artefacts.find(source.artefact.id) == source.artefact
