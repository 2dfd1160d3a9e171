"""Statements on the tags of runs, the list of runs by what they are, and the removal of a run with all its rows."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, delete, exists, insert, or_, select
from sqlalchemy.sql.elements import ColumnElement

from mstar.evolution import RunState
from mstar_coordinator.store.tables import events, idempotency, needs, run_tags, runs, steps, study_runs, suspects

ARCHIVED = "archived"
"""The tag of runs that the list leaves out unless it is asked for them."""


@dataclass(frozen=True)
class RunFilter:
    """Which runs a list shows."""

    project: str | None = None
    """None: runs of all projects."""
    state: RunState | None = None
    tag: str | None = None
    text: str | None = None
    """Part of the name or the id, in any case."""
    archived: bool = False
    """Archived ones as well."""
    evaluations: bool = False
    """Evaluations alone, in place of runs."""


class RunTags:
    """Tags, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, run_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Run → its tags in order, for those that have any."""
        query = select(run_tags).where(run_tags.c.run_id.in_(run_ids)).order_by(run_tags.c.tag)
        found: dict[str, tuple[str, ...]] = {}
        for row in self._connection.execute(query):
            found[row.run_id] = (*found.get(row.run_id, ()), row.tag)
        return found

    def all(self, project: str | None) -> list[str]:
        """Every tag that some run of a project has, in order; of all projects for None."""
        query = select(run_tags.c.tag).distinct().join(runs, runs.c.id == run_tags.c.run_id).order_by(run_tags.c.tag)
        if project is not None:
            query = query.where(runs.c.project == project)
        return list(self._connection.execute(query).scalars())

    def set(self, run_id: str, tags: Collection[str]) -> None:
        """Replace a run's tags."""
        self._connection.execute(delete(run_tags).where(run_tags.c.run_id == run_id))
        if tags:
            self._connection.execute(insert(run_tags), [{"run_id": run_id, "tag": tag} for tag in sorted(set(tags))])

    def page(self, wanted: RunFilter, after: str | None, limit: int) -> list[str]:
        """Ids of the runs that a filter means, newest first; `after` is the last one already seen."""
        query = select(runs.c.id).order_by(runs.c.id.desc()).limit(limit)
        query = query.where(runs.c.evaluation if wanted.evaluations else ~runs.c.evaluation)
        if after is not None:
            query = query.where(runs.c.id < after)
        if wanted.project is not None:
            query = query.where(runs.c.project == wanted.project)
        if wanted.state is not None:
            query = query.where(runs.c.state == wanted.state.value)
        if wanted.tag is not None:
            query = query.where(_has(wanted.tag))
        if wanted.text is not None:
            part = wanted.text.lower()
            query = query.where(
                # `%` and `_` in the text mean themselves.
                or_(runs.c.name.icontains(part, autoescape=True), runs.c.id.contains(part, autoescape=True))
            )
        if not wanted.archived and wanted.tag != ARCHIVED:
            query = query.where(~_has(ARCHIVED))
        return list(self._connection.execute(query).scalars())

    def study_of(self, run_id: str) -> str | None:
        """The study that a run belongs to, if it does."""
        query = select(study_runs.c.study_id).where(study_runs.c.run_id == run_id).limit(1)
        return self._connection.execute(query).scalar()

    def reader_of(self, run_id: str) -> str | None:
        """Another run that has taken over something that this run made, if one has."""
        taken = steps.c.artefact_id.startswith(f"{run_id}/", autoescape=True)
        query = select(steps.c.run_id).where(taken, steps.c.run_id != run_id).limit(1)
        return self._connection.execute(query).scalar()

    def remove(self, run_id: str) -> None:
        """Remove a run with its steps, events, tags and keys."""
        own = select(steps.c.id).where(steps.c.run_id == run_id)
        # What refers to rows goes before them.
        self._connection.execute(delete(needs).where(or_(needs.c.step_id.in_(own), needs.c.need_id.in_(own))))
        for table in (steps, events, suspects, run_tags, idempotency):
            self._connection.execute(delete(table).where(table.c.run_id == run_id))
        self._connection.execute(delete(runs).where(runs.c.id == run_id))


def _has(tag: str) -> ColumnElement[bool]:
    return exists().where(run_tags.c.run_id == runs.c.id, run_tags.c.tag == tag)
