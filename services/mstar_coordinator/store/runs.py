"""Statements on runs and idempotency keys."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, text, update

from mstar.errors import IdempotencyMismatch, NotFound
from mstar.evolution import RunState
from mstar_coordinator.store.recipe_texts import RecipeTexts
from mstar_coordinator.store.records import RunRecord
from mstar_coordinator.store.schema import LOCK as MIGRATION_LOCK
from mstar_coordinator.store.tables import idempotency, runs

MADE_LOCK = MIGRATION_LOCK + 1
"""Key of the advisory lock on PostgreSQL between who takes over what runs have made, and who removes it."""
_recipes = RecipeTexts()
_newest_first = select(runs.c.id).order_by(runs.c.id.desc()).limit(1)


class Runs:
    """All runs, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, run: RunRecord) -> None:
        """Write a new run, whose files are not there yet."""
        values = {
            "id": run.id,
            "name": run.name,
            "state": run.state.value,
            "error": run.error,
            "created_at": run.created_at,
            "updated_at": run.updated_at,
            "iterations": run.iterations,
            "recipe": run.recipe.model_dump_json(),
            "revision": run.revision,
            "written": 0,
            "project": run.project,
            "evaluation": run.recipe.measure is not None,
        }
        self._connection.execute(insert(runs).values(**values))

    def get(self, run_id: str) -> RunRecord:
        """Raises NotFound."""
        return self._one(run_id, lock=False)

    def several(self, run_ids: Sequence[str]) -> list[RunRecord]:
        """Those of the runs that there are, in this order."""
        rows = self._connection.execute(select(runs).where(runs.c.id.in_(run_ids)))
        found = {row.id: _run(row) for row in rows}
        return [found[run_id] for run_id in run_ids if run_id in found]

    def lock(self, run_id: str) -> RunRecord:
        """The run, locked until the transaction ends: everything that changes a run begins with this."""
        return self._one(run_id, lock=True)

    def state(self, run_id: str) -> RunState:
        """The state of a run, without all the rest. Raises NotFound."""
        found = self._connection.execute(select(runs.c.state).where(runs.c.id == run_id)).scalar()
        if found is None:
            raise no_run(run_id)
        return RunState(found)

    def hold_made(self, *, to_remove: bool) -> None:
        """Until the transaction ends, nobody removes what runs have made; `to_remove`: nor does anybody take it over.

        Comes after the lock of the run that takes over, or whose artefacts go. In this order nobody waits in a circle:
        who has it waits for no other run.
        """
        # SQLite has one transaction that writes, and needs none.
        if self._connection.dialect.name == "postgresql":
            function = "pg_advisory_xact_lock" if to_remove else "pg_advisory_xact_lock_shared"
            self._connection.exec_driver_sql(f"SELECT {function}({MADE_LOCK})")

    def page(self, project: str | None, after: str | None, limit: int) -> list[RunRecord]:
        """Runs of a project, or of all; newest first. `after` is the id of the last run already seen."""
        query = select(runs).order_by(runs.c.id.desc()).limit(limit)
        if project is not None:
            query = query.where(runs.c.project == project)
        if after is not None:
            query = query.where(runs.c.id < after)
        return [_run(row) for row in self._connection.execute(query)]

    def project_of(self, run_id: str) -> str | None:
        """The project that a run belongs to; None when there is no such run."""
        return self._connection.execute(select(runs.c.project).where(runs.c.id == run_id)).scalar()

    def ids(self, state: RunState) -> list[str]:
        """Ids of the runs in a state, oldest first."""
        query = select(runs.c.id).where(runs.c.state == state.value).order_by(runs.c.id)
        return list(self._connection.execute(query).scalars())

    def newest(self) -> str | None:
        """Id of the run or evaluation created last, or None when there is none."""
        return self._connection.execute(_newest_first).scalar()

    def newest_trained(self) -> str | None:
        """Id of the run created last, evaluations left out."""
        return self._connection.execute(_newest_first.where(~runs.c.evaluation)).scalar()

    def tally(self) -> dict[str, int]:
        """State → runs in it."""
        query = select(runs.c.state, func.count()).group_by(runs.c.state)
        return {row[0]: int(row[1]) for row in self._connection.execute(query)}

    def set_state(self, run_id: str, state: RunState, at: float, error: str | None = None) -> None:
        """Write a new state; the error is cleared unless one is given."""
        self._change(run_id, state=state.value, error=error, updated_at=at, revision=runs.c.revision + 1)

    def set_iterations(self, run_id: str, iterations: int) -> None:
        """Write how many iterations are planned."""
        self._change(run_id, iterations=iterations, revision=runs.c.revision + 1)

    def touch(self, run_id: str, at: float, *, shown: bool) -> None:
        """Note that something of the run changed, and whether its files show it."""
        self._change(run_id, updated_at=at, revision=runs.c.revision + int(shown))

    def stale(self) -> list[str]:
        """Ids of the runs whose files lag behind."""
        return list(self._connection.execute(select(runs.c.id).where(runs.c.written < runs.c.revision)).scalars())

    def set_written(self, run_id: str, revision: int) -> None:
        """The files show this revision."""
        self._change(run_id, written=revision)

    def take_key(self, key: str, body_sha256: str, run_id: str, at: float) -> str:
        """Bind an idempotency key to a run, or return the run that it is bound to already.

        Of several transactions with one key the first wins and the others wait for it. Raises IdempotencyMismatch when
        the key came with another body.
        """
        take = text(
            "INSERT INTO idempotency (key, body_sha256, run_id, at) VALUES (:key, :body, :run, :at) "
            "ON CONFLICT (key) DO NOTHING"
        )
        self._connection.execute(take, {"key": key, "body": body_sha256, "run": run_id, "at": at})
        # The insert has waited for any other transaction with this key, so its row can be seen now: on PostgreSQL each
        # statement of READ COMMITTED sees what was committed before it.
        bound = self.find_key(key, body_sha256)
        assert bound is not None
        return bound

    def find_key(self, key: str, body_sha256: str) -> str | None:
        """The run that a key is bound to. Raises IdempotencyMismatch when it came with another body."""
        row = self._connection.execute(select(idempotency).where(idempotency.c.key == key)).first()
        if row is None:
            return None
        if row.body_sha256 != body_sha256:
            raise IdempotencyMismatch(
                "this Idempotency-Key was used with another body before: send a new key with a new request",
                field="Idempotency-Key",
            )
        return str(row.run_id)

    def answer(self, key: str) -> str | None:
        """The answer that was kept for an idempotency key."""
        return self._connection.execute(select(idempotency.c.answer).where(idempotency.c.key == key)).scalar()

    def keep_answer(self, key: str, answer: str) -> str:
        """Keep the first answer to a key, and return it: this one, or that of another request which came before."""
        # Where there is no answer yet, or of two requests at the same time each would get its own.
        first = update(idempotency).where(idempotency.c.key == key, idempotency.c.answer.is_(None))
        self._connection.execute(first.values(answer=answer))
        return self.answer(key) or answer

    def _change(self, run_id: str, **values: Any) -> None:
        self._connection.execute(update(runs).where(runs.c.id == run_id).values(**values))

    def _one(self, run_id: str, *, lock: bool) -> RunRecord:
        query = select(runs).where(runs.c.id == run_id)
        # SQLite has no locks of rows and leaves this out; its one writer (`mstar_writes`) comes to the same.
        row = self._connection.execute(query.with_for_update() if lock else query).first()
        if row is None:
            raise no_run(run_id)
        return _run(row)


def _run(row: Row[Any]) -> RunRecord:
    return RunRecord(
        id=row.id,
        name=row.name,
        state=RunState(row.state),
        error=row.error,
        created_at=row.created_at,
        updated_at=row.updated_at,
        iterations=row.iterations,
        recipe=_recipes.of(row.recipe),
        revision=row.revision,
        project=row.project,
    )


def no_run(run_id: str) -> NotFound:
    """The error for a run that does not exist, or that belongs to a project which the caller does not see."""
    return NotFound(f"run {run_id[:64]!r} does not exist: list runs with GET /v1/runs", field="run_id")


def no_evaluation(evaluation_id: str) -> NotFound:
    """The same for an evaluation."""
    detail = f"evaluation {evaluation_id[:64]!r} does not exist: list evaluations with GET /v1/evaluations"
    return NotFound(detail, field="evaluation_id")
