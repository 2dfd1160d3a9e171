"""Statements on studies: their plans, and which run stands at which place of one."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from mstar.errors import NotFound
from mstar.evolution import RunState
from mstar.recipes import Recipe
from mstar.study.plan import Study
from mstar.study.states import StudyState
from mstar_coordinator.store.records import StudyEntry, StudyRecord
from mstar_coordinator.store.tables import runs, studies, study_runs


class Studies:
    """All studies, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, study: StudyRecord, entries: Sequence[StudyEntry]) -> None:
        """Write a new study with its runs, none of which has begun."""
        values = {
            "id": study.id,
            "name": study.name,
            "state": study.state.value,
            "error": study.error,
            "created_at": study.created_at,
            "updated_at": study.updated_at,
            "plan": study.plan.model_dump_json(),
            "project": study.project,
        }
        self._connection.execute(insert(studies).values(**values))
        rows = [
            {
                "study_id": study.id,
                "position": one.position,
                "arm": one.arm,
                "seed": one.recipe.seed,
                "recipe": one.recipe.model_dump_json(),
            }
            for one in entries
        ]
        self._connection.execute(insert(study_runs), rows)

    def get(self, study_id: str) -> StudyRecord:
        """Raises NotFound."""
        return self._one(study_id, lock=False)

    def lock(self, study_id: str) -> StudyRecord:
        """The study, locked until the transaction ends. Raises NotFound."""
        return self._one(study_id, lock=True)

    def project_of(self, study_id: str) -> str | None:
        """The project that a study belongs to; None when there is no such study."""
        return self._connection.execute(select(studies.c.project).where(studies.c.id == study_id)).scalar()

    def page(self, project: str | None, after: str | None, limit: int) -> list[StudyRecord]:
        """Studies of a project, or of all; newest first. `after` is the id of the last study already seen."""
        query = select(studies).order_by(studies.c.id.desc()).limit(limit)
        if project is not None:
            query = query.where(studies.c.project == project)
        if after is not None:
            query = query.where(studies.c.id < after)
        return [_study(row) for row in self._connection.execute(query)]

    def oldest_running(self) -> StudyRecord | None:
        """The study whose turn it is: studies are run one after the other."""
        query = select(studies).where(studies.c.state == StudyState.RUNNING.value).order_by(studies.c.id).limit(1)
        row = self._connection.execute(query).first()
        return None if row is None else _study(row)

    def newest(self) -> str | None:
        """Id of the study created last, or None when there is none."""
        return self._connection.execute(select(func.max(studies.c.id))).scalar()

    def entries(self, study_id: str) -> list[StudyEntry]:
        """All runs of a study, in the order in which they are run, with the states of those that have begun."""
        query = (
            select(study_runs, runs.c.state, runs.c.error)
            # Those that have not begun have no run.
            .join(runs, runs.c.id == study_runs.c.run_id, isouter=True)
            .where(study_runs.c.study_id == study_id)
            .order_by(study_runs.c.position)
        )
        return [_entry(row) for row in self._connection.execute(query)]

    def bind(self, study_id: str, position: int, run_id: str) -> None:
        """Note the run that stands at a place of a study."""
        where = (study_runs.c.study_id == study_id, study_runs.c.position == position)
        self._connection.execute(update(study_runs).where(*where).values(run_id=run_id))

    def holds(self, run_id: str) -> bool:
        """Whether a run belongs to a study."""
        query = select(study_runs.c.position).where(study_runs.c.run_id == run_id).limit(1)
        return self._connection.execute(query).first() is not None

    def set_state(self, study_id: str, state: StudyState, at: float, error: str | None = None) -> None:
        """Write a new state; the error is cleared unless one is given."""
        values = {"state": state.value, "error": error, "updated_at": at}
        self._connection.execute(update(studies).where(studies.c.id == study_id).values(**values))

    def _one(self, study_id: str, *, lock: bool) -> StudyRecord:
        query = select(studies).where(studies.c.id == study_id)
        row = self._connection.execute(query.with_for_update() if lock else query).first()
        if row is None:
            raise no_study(study_id)
        return _study(row)


def no_study(study_id: str) -> NotFound:
    """The error for a study that does not exist, or that belongs to a project which the caller does not see."""
    detail = f"study {study_id[:64]!r} does not exist: list studies with GET /v1/studies"
    return NotFound(detail, field="study_id")


def _study(row: Row[Any]) -> StudyRecord:
    return StudyRecord(
        id=row.id,
        name=row.name,
        state=StudyState(row.state),
        error=row.error,
        created_at=row.created_at,
        updated_at=row.updated_at,
        plan=Study.model_validate_json(row.plan),
        project=row.project,
    )


def _entry(row: Row[Any]) -> StudyEntry:
    return StudyEntry(
        position=row.position,
        arm=row.arm,
        recipe=Recipe.model_validate_json(row.recipe),
        run_id=row.run_id,
        state=None if row.state is None else RunState(row.state),
        error=row.error,
    )
