"""Notes the question at which an attempt of a step ended, and leaves it out of the run where `mstar.poison` says so."""

from mstar.poison import Suspicion, judge
from mstar_coordinator.store.database import Transaction
from mstar_coordinator.store.records import RunRecord, StepRecord


def blame(tx: Transaction, run: RunRecord, step: StepRecord, error: str) -> bool:
    """Draw the conclusion from an attempt that failed with this error; whether it brought the search forward."""
    out = tx.suspects.quarantined(run.id)
    if step.in_hand in {one.question for one in out}:
        # Another shard with the same question was faster; the next claim comes without it.
        return True
    quarantined = sum(one.step == step.name for one in out)
    suspects = tx.suspects.of_step(run.id, step.name)
    verdict = judge(step.in_hand, suspects, quarantined, step.units_done, step.units_total)
    if step.in_hand is None or verdict is Suspicion.NOTHING:
        return False
    now = tx.now()
    if verdict is Suspicion.SUSPECT:
        message = f"question {step.in_hand} was in hand when an attempt ended: {error}; it comes last in the next one"
        tx.suspects.suspect(run.id, step.in_hand, step.name, error)
        tx.events.append(run.id, now, "question.suspected", step=step.name, message=message)
        return True
    message = f"question {step.in_hand} is left out of the run: it ended an attempt twice, the second time after all "
    message += f"others of its shard had succeeded: {error}"
    tx.suspects.quarantine(run.id, step.in_hand, error, now)
    tx.runs.touch(run.id, now, shown=True)
    tx.events.append(run.id, now, "question.quarantined", step=step.name, message=message)
    return True
