"""Turns records into the bodies of the public API. Pure but for the reads of the transaction it is given."""

from collections.abc import Sequence

from mstar.api.evaluations import Evaluation
from mstar.api.runs import Checkpoint, Progress, Run, StepView
from mstar.stages.measure import MeasureResult
from mstar.stages.train import TRAIN, TrainResult
from mstar.step_names import MEASURE
from mstar_coordinator.store.database import Transaction
from mstar_coordinator.store.records import RunRecord, StepRecord


def run_view(tx: Transaction, run: RunRecord) -> Run:
    """A run with how far it is."""
    return run_views(tx, [run])[0]


def run_views(tx: Transaction, runs: Sequence[RunRecord]) -> list[Run]:
    """The same for several runs, by questions about all of them at once."""
    ids = [run.id for run in runs]
    progress, tags, quarantined = _progress(tx, ids), tx.tags.of(ids), tx.suspects.quarantined_counts(ids)
    return [
        Run(
            id=run.id,
            name=run.name,
            state=run.state,
            error=run.error,
            created_at=run.created_at,
            updated_at=run.updated_at,
            iterations=run.iterations,
            recipe=run.recipe,
            project=run.project,
            progress=progress[run.id],
            tags=tags.get(run.id, ()),
            quarantined=quarantined.get(run.id, 0),
        )
        for run in runs
    ]


def evaluation_view(tx: Transaction, run: RunRecord) -> Evaluation:
    """An evaluation with how far it is, and what it has found."""
    measure = run.recipe.measure
    assert measure is not None
    made = tx.steps.named(run.id, MEASURE).result
    return Evaluation(
        id=run.id,
        model=measure.model,
        weight_version=None if measure.checkpoint is None else measure.checkpoint.version,
        state=run.state,
        error=run.error,
        created_at=run.created_at,
        updated_at=run.updated_at,
        project=run.project,
        sets={name: one.items for name, one in measure.sets.items()},
        samples=measure.n,
        progress=_progress(tx, [run.id])[run.id],
        results=made.benchmarks if isinstance(made, MeasureResult) else {},
    )


def step_view(step: StepRecord) -> StepView:
    """One step for people."""
    return StepView(
        id=step.id,
        name=step.name,
        state=step.state.value,
        attempts=step.attempts,
        worker=step.worker,
        error=step.error,
        seconds=step.seconds,
    )


def checkpoint_view(step: StepRecord) -> Checkpoint:
    """The checkpoint that a committed train step left."""
    params, result = TRAIN.narrow(step.spec.params), step.result
    assert isinstance(result, TrainResult)
    assert step.artefact is not None
    return Checkpoint(
        id=step.artefact.id,
        objective=params.objective,
        iteration=params.iteration,
        sha256=step.artefact.sha256,
        weight_version=step.artefact.version,
        global_step=result.global_step,
    )


def _progress(tx: Transaction, run_ids: Sequence[str]) -> dict[str, Progress]:
    """Run → its steps, and those of the stage in progress; one of a single step is counted in that step's own units."""
    counts, at_work = tx.steps.counts_of(run_ids), tx.steps.at_work(run_ids)
    found = {}
    for run_id in run_ids:
        steps_done, steps_total = counts.get(run_id, (0, 0))
        held = at_work.get(run_id, [])
        current = held[0] if held else None
        if current is None and steps_done < steps_total:
            current = tx.steps.next_undone(run_id)
        if current is None:
            found[run_id] = Progress(steps_done=steps_done, steps_total=steps_total, stage="done")
            continue
        done, total = tx.steps.counts(run_id, current.stage)
        if total == 1 and current.units_total:
            done, total = current.units_done, current.units_total
        found[run_id] = Progress(
            steps_done=steps_done,
            steps_total=steps_total,
            stage=current.stage,
            done=done,
            total=total,
            running=tuple(step.name for step in held),
        )
    return found
