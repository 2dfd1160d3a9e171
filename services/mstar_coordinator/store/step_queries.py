"""Questions on steps: what they are, what finished ones left, and how many are where. Nothing here changes a row."""

from collections.abc import Collection
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, Select, and_, case, func, select

from mstar.api.steps import StepInput
from mstar.errors import NotFound
from mstar.evolution import RunState, reads
from mstar.gpu_memory import GpuMemory
from mstar.stages import AnyResult, StepSpec
from mstar.steps import ArtefactRef, DoneResult, Queue, StepResult
from mstar_coordinator.store.records import DueStep, Lease, OpenStep, StepRecord, StepState
from mstar_coordinator.store.tables import events, needs, runs, steps

RESULT: TypeAdapter[StepResult] = TypeAdapter(AnyResult)
_OPEN = (steps.c.name, steps.c.stage, steps.c.units_done, steps.c.units_total)


class StepQueries:
    """All steps, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, step_id: str) -> StepRecord:
        """Raises NotFound."""
        row = self._connection.execute(select(steps).where(steps.c.id == step_id)).first()
        if row is None:
            raise NotFound(f"step {step_id[:80]!r} does not exist", field="step_id")
        return step_of(row)

    def run_of(self, step_id: str) -> str:
        """Id of the run that a step belongs to. Raises NotFound."""
        run_id = self._connection.execute(select(steps.c.run_id).where(steps.c.id == step_id)).scalar()
        if run_id is None:
            raise NotFound(f"step {step_id[:80]!r} does not exist", field="step_id")
        return str(run_id)

    def page(self, run_id: str, after: int, limit: int) -> list[StepRecord]:
        """Steps at positions above `after`, in the order of the graph."""
        query = select(steps).where(steps.c.run_id == run_id, steps.c.position > after).limit(limit)
        return self._all(query)

    def of_run(self, run_id: str) -> list[StepRecord]:
        """All steps, in the order of the graph."""
        return self._all(select(steps).where(steps.c.run_id == run_id))

    def done(self, run_id: str, kinds: Collection[str]) -> list[StepRecord]:
        """Committed steps of some kinds, in the order of the graph."""
        wanted = (steps.c.run_id == run_id, steps.c.kind.in_(kinds), steps.c.state == StepState.DONE)
        return self._all(select(steps).where(*wanted))

    def of_stage(self, run_id: str, stage: str) -> list[StepRecord]:
        """All steps of one stage, in the order of the graph."""
        return self._all(select(steps).where(steps.c.run_id == run_id, steps.c.stage == stage))

    def stage_marks(self, run_id: str) -> dict[str, tuple[int, float]]:
        """Stage → committed steps of it, and when the last of them was: changes with every commit in the stage."""
        done = (steps.c.run_id == run_id, steps.c.state == StepState.DONE)
        query = select(steps.c.stage, func.count(), func.max(steps.c.done_at)).where(*done).group_by(steps.c.stage)
        return {row[0]: (int(row[1]), float(row[2] or 0.0)) for row in self._connection.execute(query)}

    def done_in_stage(self, run_id: str, stage: str) -> list[StepRecord]:
        """Committed steps of one stage, in the order of the graph."""
        wanted = (steps.c.run_id == run_id, steps.c.stage == stage, steps.c.state == StepState.DONE)
        return self._all(select(steps).where(*wanted))

    def leased(self, run_id: str) -> list[StepRecord]:
        """Steps that a worker holds, in the order of the graph."""
        return self._all(select(steps).where(steps.c.run_id == run_id, steps.c.state == StepState.LEASED))

    def at_work(self, run_ids: Collection[str]) -> dict[str, list[OpenStep]]:
        """Run → the steps that a worker holds, in the order of the graph, for runs that have any."""
        found: dict[str, list[OpenStep]] = {}
        query = select(steps.c.run_id, *_OPEN).where(steps.c.run_id.in_(run_ids), steps.c.state == StepState.LEASED)
        for row in self._connection.execute(query.order_by(steps.c.position)):
            found.setdefault(row[0], []).append(OpenStep(*row[1:]))
        return found

    def next_undone(self, run_id: str) -> OpenStep | None:
        """The first step of the graph that could be worked on, or None."""
        open_ = (steps.c.run_id == run_id, steps.c.waiting == 0, steps.c.state != StepState.DONE)
        found = self._connection.execute(select(*_OPEN).where(*open_).order_by(steps.c.position).limit(1)).first()
        return None if found is None else OpenStep(*found)

    def all_done(self, run_id: str, stage: str | None = None) -> bool:
        """Whether no step of a run, or of one stage of it, is left. Looks from the end, where undone ones stand."""
        query = select(steps.c.id).where(steps.c.run_id == run_id, steps.c.state != StepState.DONE)
        if stage is not None:
            query = query.where(steps.c.stage == stage)
        return self._connection.execute(query.order_by(steps.c.position.desc()).limit(1)).first() is None

    def counts(self, run_id: str, stage: str) -> tuple[int, int]:
        """(done, all) steps of one stage of a run."""
        query = select(steps.c.state, func.count()).where(steps.c.run_id == run_id, steps.c.stage == stage)
        by_state = {row[0]: int(row[1]) for row in self._connection.execute(query.group_by(steps.c.state))}
        return by_state.get(StepState.DONE, 0), sum(by_state.values())

    def counts_of(self, run_ids: Collection[str]) -> dict[str, tuple[int, int]]:
        """Run → (done, all) steps."""
        query = select(steps.c.run_id, steps.c.state, func.count()).where(steps.c.run_id.in_(run_ids))
        found: dict[str, tuple[int, int]] = {}
        for run_id, state, count in self._connection.execute(query.group_by(steps.c.run_id, steps.c.state)):
            done, total = found.get(run_id, (0, 0))
            found[run_id] = done + (count if state == StepState.DONE else 0), total + count
        return found

    def stage_counts(self, run_id: str) -> dict[str, dict[str, int]]:
        """Stage → state → steps, in the order of the graph; a pending step that could be claimed counts as `due`."""
        pending = case((steps.c.waiting == 0, "due"), else_="waiting")
        state = case((steps.c.state == StepState.PENDING, pending), else_=steps.c.state).label("state")
        query = (
            select(steps.c.stage, state, func.count(), func.min(steps.c.position).label("first"))
            .where(steps.c.run_id == run_id)
            .group_by(steps.c.stage, state)
        )
        rows = self._connection.execute(query).all()
        first: dict[str, int] = {}
        for row in rows:
            first[row[0]] = min(int(row.first), first.get(row[0], int(row.first)))
        found: dict[str, dict[str, int]] = {stage: {} for stage in sorted(first, key=lambda one: first[one])}
        for row in rows:
            found[row[0]][str(row[1])] = int(row[2])
        return found

    def open_needs(self, run_id: str) -> list[tuple[str, str]]:
        """(stage, stage that it waits for), where a step that is not done needs one that is not, in graph order."""
        made = steps.alias()
        query = (
            select(steps.c.stage, made.c.stage)
            .join(needs, needs.c.step_id == steps.c.id)
            .join(made, made.c.id == needs.c.need_id)
            .where(steps.c.run_id == run_id, steps.c.state != StepState.DONE, made.c.state != StepState.DONE)
            .group_by(steps.c.stage, made.c.stage)
            .order_by(func.min(steps.c.position), func.min(made.c.position))
        )
        return [(row[0], row[1]) for row in self._connection.execute(query)]

    def needs_of(self, step_id: str) -> list[StepRecord]:
        """The steps that one needs or streams from, in the order of the graph."""
        wanted = select(needs.c.need_id).where(needs.c.step_id == step_id)
        return self._all(select(steps).where(steps.c.id.in_(wanted)))

    def latest(self, run_id: str, kinds: Collection[str], limit: int) -> list[StepRecord]:
        """Steps of some kinds that were committed last, newest first; those that were taken over are left out."""
        wanted = (steps.c.run_id == run_id, steps.c.kind.in_(kinds), steps.c.state == StepState.DONE)
        query = select(steps).where(*wanted, steps.c.claimed_at.is_not(None)).order_by(steps.c.done_at.desc())
        return [step_of(row) for row in self._connection.execute(query.limit(limit))]

    def named(self, run_id: str, name: str) -> StepRecord:
        """A step of a run by its name. Raises NotFound."""
        found = self._all(select(steps).where(steps.c.run_id == run_id, steps.c.name == name))
        if not found:
            raise NotFound(f"run {run_id} has no step {name[:120]!r}", field="step")
        return found[0]

    def tally(self) -> dict[tuple[str, str, str], int]:
        """(queue, kind, state) → steps of running runs; a pending step is `due`, or `waiting` for others."""
        pending = case((steps.c.waiting == 0, "due"), else_="waiting")
        state = case((steps.c.state == StepState.PENDING, pending), else_=steps.c.state).label("state")
        query = (
            select(steps.c.queue, steps.c.kind, state, func.count())
            .join(runs, runs.c.id == steps.c.run_id)
            .where(runs.c.state == RunState.RUNNING)
            .group_by(steps.c.queue, steps.c.kind, state)
        )
        return {(row[0], row[1], row[2]): int(row[3]) for row in self._connection.execute(query)}

    def demand(self) -> dict[Queue, int]:
        """For each queue, the steps that are under way in any run, or due in a running one."""
        under_way = steps.c.state == StepState.LEASED
        due = and_(steps.c.state == StepState.PENDING, steps.c.waiting == 0, runs.c.state == RunState.RUNNING)
        query = (
            select(steps.c.queue, func.count())
            .join(runs, runs.c.id == steps.c.run_id)
            .where(under_way | due)
            .group_by(steps.c.queue)
        )
        return {Queue(row[0]): int(row[1]) for row in self._connection.execute(query)}

    def stage_starts(self, run_id: str) -> dict[str, float]:
        """When the first step of each stage was claimed, for the stages that have begun."""
        begun = (steps.c.run_id == run_id, steps.c.claimed_at.is_not(None))
        query = select(steps.c.stage, func.min(steps.c.claimed_at)).where(*begun).group_by(steps.c.stage)
        return {row[0]: float(row[1]) for row in self._connection.execute(query)}

    def inputs(self, step: StepRecord, after: int = 0) -> dict[str, StepInput]:
        """What the needs and streams of a step have left so far, and what else it reads, by name.

        With `after`, only what was committed after that event of the run: a training that streams asks again and again,
        and all of hundreds of inputs each time would cost the square of their number.
        """
        run_id = step.run_id
        wanted = select(needs.c.need_id).where(needs.c.step_id == step.id)
        # The step `prepare`, and rollouts that a report shows: made long before, so nothing waits for them.
        beside = set(reads(step.spec)).difference(step.spec.needs, step.spec.streams)
        along = and_(steps.c.run_id == run_id, steps.c.name.in_(beside))
        left = select(steps.c.name, steps.c.artefact_id, steps.c.artefact_sha256, steps.c.result)
        # Only what is done: a step that is done again keeps its old artefact in its row until then.
        query = left.where(steps.c.id.in_(wanted) | along, steps.c.state == StepState.DONE)
        if after:
            later = (events.c.run_id == run_id, events.c.id > after, events.c.type == "step.committed")
            query = query.where(steps.c.run_id == run_id, steps.c.name.in_(select(events.c.step).where(*later)))
        return {
            row.name: StepInput(
                artefact=_artefact(row.artefact_id, row.artefact_sha256), result=_result(row.result) or DoneResult()
            )
            for row in self._connection.execute(query.order_by(steps.c.position))
        }

    def due(self, queue: Queue, limit: int) -> list[DueStep]:
        """Steps of running runs that a worker of the queue could claim, oldest run first."""
        query = (
            # Without a lock: a step that is claimed in this moment costs a message in vain.
            select(steps.c.id, steps.c.published_at, steps.c.run_id, steps.c.name, steps.c.kind, steps.c.epoch)
            .join(runs, runs.c.id == steps.c.run_id)
            .where(steps.c.state == StepState.PENDING, steps.c.waiting == 0, steps.c.queue == queue.value)
            .where(runs.c.state == RunState.RUNNING)
            .order_by(steps.c.run_id, steps.c.position)
            .limit(limit)
        )
        return [DueStep(*row) for row in self._connection.execute(query)]

    def leases(self) -> list[Lease]:
        """Every lease of every run."""
        query = select(steps.c.id, steps.c.epoch, steps.c.renewals).where(steps.c.state == StepState.LEASED)
        return [Lease(row.id, row.epoch, row.renewals) for row in self._connection.execute(query)]

    def _all(self, query: Select[Any]) -> list[StepRecord]:
        return [step_of(row) for row in self._connection.execute(query.order_by(steps.c.position))]


def step_of(row: Row[Any]) -> StepRecord:
    """The record of a whole row of the table."""
    return StepRecord(
        id=row.id,
        run_id=row.run_id,
        position=row.position,
        spec=StepSpec.model_validate_json(row.spec),
        state=StepState(row.state),
        waiting=row.waiting,
        epoch=row.epoch,
        attempts=row.attempts,
        worker=row.worker,
        error=row.error,
        claimed_at=row.claimed_at,
        renewals=row.renewals,
        done_at=row.done_at,
        units_done=row.units_done,
        units_total=row.units_total,
        gpu_memory=None if row.gpu_total is None else GpuMemory(used=row.gpu_used, total=row.gpu_total),
        artefact=_artefact(row.artefact_id, row.artefact_sha256),
        result=_result(row.result),
        in_hand=row.in_hand,
        published_at=row.published_at,
        key=row.key,
        removed=row.removed,
    )


def _artefact(artefact_id: str | None, sha256: str | None) -> ArtefactRef | None:
    return ArtefactRef(id=artefact_id, sha256=sha256) if artefact_id and sha256 else None


def _result(dumped: str | None) -> StepResult | None:
    return RESULT.validate_json(dumped) if dumped else None
