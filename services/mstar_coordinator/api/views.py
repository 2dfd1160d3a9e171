"""Turns records into the bodies of the public API. Pure but for the reads of the transaction it is given."""

from mstar.api.evaluations import Evaluation
from mstar.api.runs import Checkpoint, Progress, Run, StepView
from mstar.stages.measure import MeasureResult
from mstar.stages.train import TRAIN, TrainResult
from mstar.step_names import MEASURE
from mstar_coordinator.store.database import Transaction
from mstar_coordinator.store.records import RunRecord, StepRecord


def run_view(tx: Transaction, run: RunRecord) -> Run:
    """A run with how far it is."""
    return Run(
        id=run.id,
        name=run.name,
        state=run.state,
        error=run.error,
        created_at=run.created_at,
        updated_at=run.updated_at,
        iterations=run.iterations,
        recipe=run.recipe,
        project=run.project,
        progress=_progress(tx, run.id),
        tags=tx.tags.of([run.id]).get(run.id, ()),
        quarantined=len(tx.suspects.quarantined(run.id)),
    )


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
        progress=_progress(tx, run.id),
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


def _progress(tx: Transaction, run_id: str) -> Progress:
    """Steps of the whole run, and of the stage in progress; a stage of one step is counted in that step's own units."""
    steps_done, steps_total = tx.steps.counts(run_id)
    leased = tx.steps.leased(run_id)
    current = leased[0] if leased else tx.steps.next_undone(run_id)
    if current is None:
        return Progress(steps_done=steps_done, steps_total=steps_total, stage="done")
    done, total = tx.steps.counts(run_id, current.stage)
    if total == 1 and current.units_total:
        done, total = current.units_done, current.units_total
    return Progress(
        steps_done=steps_done,
        steps_total=steps_total,
        stage=current.stage,
        done=done,
        total=total,
        running=tuple(step.name for step in leased),
    )
