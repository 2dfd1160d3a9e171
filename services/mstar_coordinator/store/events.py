"""Statements on events: what happened in a run, numbered without gaps."""

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, func, insert, select

from mstar.api.runs import Event
from mstar.stages import AnyResult
from mstar.steps import StepResult
from mstar_coordinator.store.tables import events

_RESULT: TypeAdapter[StepResult] = TypeAdapter(AnyResult)


class Events:
    """Events of all runs, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(
        self,
        run_id: str,
        at: float,
        type_: str,
        *,
        step: str | None = None,
        message: str = "",
        result: StepResult | None = None,
    ) -> None:
        """Add the next event of a run. The caller holds the run's lock, so that numbers have no gaps."""
        row = {
            "run_id": run_id,
            # Not a sequence of the database, whose later numbers may be committed first: who reads on from the last
            # number that it has seen would miss the earlier one.
            "id": self.last_id(run_id) + 1,
            "at": at,
            "type": type_,
            "step": step,
            "message": message,
            "result": None if result is None else _RESULT.dump_json(result).decode(),
        }
        self._connection.execute(insert(events).values(**row))

    def last_id(self, run_id: str) -> int:
        """Number of the newest event, 0 before the first."""
        query = select(func.coalesce(func.max(events.c.id), 0)).where(events.c.run_id == run_id)
        return int(self._connection.execute(query).scalar_one())

    def has(self, run_id: str, type_: str, step: str) -> bool:
        """Whether a run has an event of a type about a step or a stage."""
        where = (events.c.run_id == run_id, events.c.type == type_, events.c.step == step)
        return self._connection.execute(select(events.c.id).where(*where).limit(1)).first() is not None

    def after(self, run_id: str, after: int, limit: int) -> list[Event]:
        """Up to `limit` events with numbers above `after`, oldest first."""
        query = select(events).where(events.c.run_id == run_id, events.c.id > after).order_by(events.c.id).limit(limit)
        return [_event(row) for row in self._connection.execute(query)]

    def about(self, run_id: str, step: str, limit: int) -> list[Event]:
        """The newest events about a step, oldest first."""
        query = select(events).where(events.c.run_id == run_id, events.c.step == step).order_by(events.c.id.desc())
        return [_event(row) for row in self._connection.execute(query.limit(limit))][::-1]


def _event(row: Row[Any]) -> Event:
    return Event(
        id=row.id,
        run_id=row.run_id,
        at=row.at,
        type=row.type,
        step=row.step,
        message=row.message,
        result=None if row.result is None else _RESULT.validate_json(row.result),
    )
