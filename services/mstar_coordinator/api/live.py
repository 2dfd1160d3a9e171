"""What a run does now, from few database rows however large the run is. Reads only."""

from collections.abc import Callable, Sequence

from mstar.api.live import LiveRun, Rates, StageProgress, StepNow
from mstar.stages.generate import GenerateResult
from mstar.stages.score import ScoreResult
from mstar.stages.select import SelectResult
from mstar.stages.train import TrainResult
from mstar.steps import StepResult
from mstar_coordinator.store.database import Transaction
from mstar_coordinator.store.records import StepRecord, StepState

LATEST = 16
"""Steps of a kind that a rate is taken over."""


def live_view(tx: Transaction, run_id: str) -> LiveRun:
    """A run at this moment. Raises NotFound."""
    tx.runs.get(run_id)
    now = tx.now()
    return LiveRun(
        run=run_id,
        now=tuple(_step_now(step, now) for step in tx.steps.leased(run_id)),
        rates=_rates(tx, run_id),
        stages=_stages(tx, run_id),
    )


def _step_now(step: StepRecord, now: float) -> StepNow:
    return StepNow(
        name=step.name,
        queue=step.spec.queue,
        worker=step.worker,
        done=step.units_done,
        total=step.units_total,
        seconds=0.0 if step.claimed_at is None else max(0.0, now - step.claimed_at),
        gpu_memory=step.gpu_memory,
    )


def _rates(tx: Transaction, run_id: str) -> Rates:
    sampled = tx.steps.latest(run_id, ["generate"], LATEST)
    scored = tx.steps.latest(run_id, ["score", "select"], LATEST)
    trained = tx.steps.latest(run_id, ["train"], 1)
    return Rates(
        responses=rate(sampled, lambda one: one.responses if isinstance(one, GenerateResult) else 0),
        tokens=rate(sampled, lambda one: one.tokens if isinstance(one, GenerateResult) else 0),
        scores=rate(scored, lambda one: one.scored if isinstance(one, ScoreResult | SelectResult) else 0),
        trained_tokens=rate(trained, lambda one: one.tokens if isinstance(one, TrainResult) else 0),
    )


def rate(steps: Sequence[StepRecord], units: Callable[[StepResult | None], int]) -> float | None:
    """Units of some steps over the time in which at least one of them was worked on; None where there is nothing."""
    made = [(step, units(step.result)) for step in steps if step.seconds]
    total = sum(count for _, count in made)
    spans = sorted((step.claimed_at or 0.0, step.done_at or 0.0) for step, _ in made)
    # The union of the spans: time in which several workers are at work counts once.
    busy, until = 0.0, float("-inf")
    for begin, end in spans:
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total / busy if busy > 0 and total else None


def _stages(tx: Transaction, run_id: str) -> tuple[StageProgress, ...]:
    waits: dict[str, list[str]] = {}
    for stage, need in tx.steps.open_needs(run_id):
        if need != stage:
            waits.setdefault(stage, []).append(need)
    return tuple(
        StageProgress(
            name=stage,
            done=counts.get(StepState.DONE, 0),
            running=counts.get(StepState.LEASED, 0),
            due=counts.get("due", 0),
            failed=counts.get(StepState.FAILED, 0),
            total=sum(counts.values()),
            waits_for=tuple(waits.get(stage, ())),
        )
        for stage, counts in tx.steps.stage_counts(run_id).items()
    )
