"""Statements on suspects: questions at which attempts of a step ended, and those that are left out of their run."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, func, insert, select, update

from mstar.results import Quarantined
from mstar_coordinator.store.tables import suspects


class Suspects:
    """All suspects, within one transaction. Changes assume that the caller holds the run's lock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of_step(self, run_id: str, step: str) -> tuple[str, ...]:
        """Questions that are suspected at a step and not quarantined."""
        query = select(suspects.c.question_id).where(suspects.c.run_id == run_id, suspects.c.step == step)
        query = query.where(suspects.c.quarantined_at.is_(None)).order_by(suspects.c.question_id)
        return tuple(self._connection.execute(query).scalars())

    def quarantined(self, run_id: str) -> tuple[Quarantined, ...]:
        """Questions that the run is done without, the first one first."""
        query = select(suspects).where(suspects.c.run_id == run_id, suspects.c.quarantined_at.is_not(None))
        found = self._connection.execute(query.order_by(suspects.c.quarantined_at, suspects.c.question_id))
        return tuple(Quarantined(question=row.question_id, step=row.step, reason=row.reason) for row in found)

    def quarantined_counts(self, run_ids: Collection[str]) -> dict[str, int]:
        """Run → questions that it is done without, for runs that have any."""
        query = select(suspects.c.run_id, func.count()).where(suspects.c.run_id.in_(run_ids))
        query = query.where(suspects.c.quarantined_at.is_not(None)).group_by(suspects.c.run_id)
        return {row[0]: int(row[1]) for row in self._connection.execute(query)}

    def suspect(self, run_id: str, question: str, step: str, reason: str) -> None:
        """Note that an attempt of the step ended at a question."""
        values = {"run_id": run_id, "question_id": question, "step": step, "reason": reason}
        # Another shard may hold the same question, as evaluation and sweep do; what matters is where it failed last.
        same = (suspects.c.run_id == run_id, suspects.c.question_id == question)
        self._connection.execute(delete(suspects).where(*same, suspects.c.quarantined_at.is_(None)))
        self._connection.execute(insert(suspects).values(**values))

    def quarantine(self, run_id: str, question: str, reason: str, now: float) -> None:
        """Leave a suspect out of its run from now on."""
        same = (suspects.c.run_id == run_id, suspects.c.question_id == question)
        self._connection.execute(update(suspects).where(*same).values(reason=reason, quarantined_at=now))

    def clear(self, run_id: str, step: str) -> None:
        """Forget the suspects of a step that has succeeded with them."""
        cleared = (suspects.c.run_id == run_id, suspects.c.step == step, suspects.c.quarantined_at.is_(None))
        self._connection.execute(delete(suspects).where(*cleared))
