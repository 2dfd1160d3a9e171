"""Statements on steps: the graph, leases with fencing epochs, and what finished steps left."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, Select, and_, bindparam, case, delete, func, insert, or_, select, update

from mstar.api.steps import Heartbeat, StepInput
from mstar.errors import NotFound
from mstar.evolution import RunState, reads
from mstar.gpu_memory import GpuMemory
from mstar.stages import AnyResult, StepSpec
from mstar.step_names import PREPARE, stage_of
from mstar.steps import ArtefactRef, DoneResult, Queue, StepResult
from mstar_coordinator.store.records import DueStep, Lease, StepRecord, StepState
from mstar_coordinator.store.tables import events, needs, runs, steps

AT_ONCE = 500
"""Keys or ids in one statement: a database bounds its parameters, and a run may have more steps than that."""
_RESULT: TypeAdapter[StepResult] = TypeAdapter(AnyResult)


class Steps:
    """All steps, within one transaction. Changes assume that the caller holds the run's lock."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # --- the graph

    def add(self, run_id: str, specs: Sequence[StepSpec], *, streaming: bool) -> None:
        """Append steps to a run's graph, in the order given, after those it has; what they need comes before them.

        `streaming`: a step waits for its needs only, and not for its streams.
        """
        last = select(func.coalesce(func.max(steps.c.position), -1)).where(steps.c.run_id == run_id)
        first = int(self._connection.execute(last).scalar_one()) + 1
        known = {
            row.name: (row.id, row.state == StepState.DONE)
            for row in self._connection.execute(
                select(steps.c.name, steps.c.id, steps.c.state).where(steps.c.run_id == run_id)
            )
        }
        known |= {spec.name: (f"{run_id}-{first + i:06d}", False) for i, spec in enumerate(specs)}
        rows = []
        edges: list[dict[str, Any]] = []
        for position, spec in enumerate(specs, first):
            step_id = known[spec.name][0]
            later = set(spec.streams) if streaming else set()
            wanted = dict.fromkeys((*spec.needs, *spec.streams))
            # Counted once and kept up to date by `finish`: a claim looks at one column and not at the graph.
            waiting = sum(not known[name][1] for name in wanted if name not in later)
            rows.append(_new_row(step_id, run_id, position, spec, waiting))
            edges.extend({"step_id": step_id, "need_id": known[n][0], "streams": n in later} for n in wanted)
        if rows:
            self._connection.execute(insert(steps), rows)
        if edges:
            self._connection.execute(insert(needs), edges)

    def names(self, run_id: str) -> set[str]:
        """Names of all steps of a run."""
        return set(self._connection.execute(select(steps.c.name).where(steps.c.run_id == run_id)).scalars())

    def remove_pending(self, run_id: str, kind: str) -> None:
        """Take steps of a kind that nobody has claimed out of the graph; nothing may need them."""
        unclaimed = (steps.c.run_id == run_id, steps.c.kind == kind, steps.c.state == StepState.PENDING)
        gone = list(self._connection.execute(select(steps.c.id).where(*unclaimed)).scalars())
        self._connection.execute(delete(needs).where(needs.c.step_id.in_(gone)))
        self._connection.execute(delete(steps).where(steps.c.id.in_(gone)))

    # --- reading

    def get(self, step_id: str) -> StepRecord:
        """Raises NotFound."""
        row = self._connection.execute(select(steps).where(steps.c.id == step_id)).first()
        if row is None:
            raise NotFound(f"step {step_id[:80]!r} does not exist", field="step_id")
        return _step(row)

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

    def next_undone(self, run_id: str) -> StepRecord | None:
        """The first step of the graph that could be worked on, or None."""
        open_ = (steps.c.run_id == run_id, steps.c.waiting == 0, steps.c.state != StepState.DONE)
        found = self._all(select(steps).where(*open_).limit(1))
        return found[0] if found else None

    def all_done(self, run_id: str, stage: str | None = None) -> bool:
        """Whether no step of a run, or of one stage of it, is left. Looks from the end, where undone ones stand."""
        query = select(steps.c.id).where(steps.c.run_id == run_id, steps.c.state != StepState.DONE)
        if stage is not None:
            query = query.where(steps.c.stage == stage)
        return self._connection.execute(query.order_by(steps.c.position.desc()).limit(1)).first() is None

    def counts(self, run_id: str, stage: str | None = None) -> tuple[int, int]:
        """(done, all) steps of a run, or of one stage of it."""
        query = select(steps.c.state, func.count()).where(steps.c.run_id == run_id).group_by(steps.c.state)
        if stage is not None:
            query = query.where(steps.c.stage == stage)
        by_state = {row[0]: int(row[1]) for row in self._connection.execute(query)}
        return by_state.get(StepState.DONE, 0), sum(by_state.values())

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
        return [_step(row) for row in self._connection.execute(query.limit(limit))]

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

    # --- changing

    def lease(self, step: StepRecord, worker: str, now: float) -> Lease:
        """Give a step to a worker under the next epoch."""
        self._change(
            step.id,
            state=StepState.LEASED,
            epoch=step.epoch + 1,
            attempts=step.attempts + 1,
            worker=worker,
            claimed_at=now,
            renewals=0,
            in_hand=None,
            # Of this attempt: what the one before had reported says nothing of it.
            units_done=0,
            units_total=0,
            gpu_used=None,
            gpu_total=None,
        )
        return Lease(step.id, step.epoch + 1, 0)

    def renew(self, step: StepRecord, beat: Heartbeat) -> Lease:
        """Count a heartbeat of the worker that holds the step, and note how far the work is."""
        memory = beat.gpu_memory
        self._change(
            step.id,
            renewals=step.renewals + 1,
            units_done=beat.done,
            units_total=beat.total,
            in_hand=beat.question,
            gpu_used=None if memory is None else memory.used,
            gpu_total=None if memory is None else memory.total,
        )
        return Lease(step.id, step.epoch, step.renewals + 1)

    def finish(self, step_id: str, now: float, artefact: ArtefactRef | None, result: StepResult) -> None:
        """Mark a step done and lower what its dependents wait for."""
        self._change(
            step_id,
            state=StepState.DONE,
            done_at=now,
            error=None,
            artefact_id=None if artefact is None else artefact.id,
            artefact_sha256=None if artefact is None else artefact.sha256,
            result=_RESULT.dump_json(result).decode(),
            removed=False,
        )
        dependents = select(needs.c.step_id).where(needs.c.need_id == step_id, needs.c.streams.is_(False))
        # A step that is done again may have dependents that are done already.
        waiting = (steps.c.id.in_(dependents), steps.c.state != StepState.DONE)
        self._connection.execute(update(steps).where(*waiting).values(waiting=steps.c.waiting - 1))

    def give_back(self, step_id: str, attempts: int, error: str) -> None:
        """Make a leased step claimable again; its task message counts as not sent."""
        # The epoch stays: the next claim raises it, and calls of the last holder are refused from now on.
        self._change(step_id, state=StepState.PENDING, attempts=attempts, error=error, published_at=None)

    def fail(self, step_id: str, error: str) -> None:
        """Take a step out of work until its run is resumed."""
        self._change(step_id, state=StepState.FAILED, error=error)

    def retry_all(self, run_id: str) -> None:
        """Make failed steps claimable again, and forget attempts and task messages of all that are not done."""
        failed = (steps.c.run_id == run_id, steps.c.state == StepState.FAILED)
        self._connection.execute(update(steps).where(*failed).values(state=StepState.PENDING))
        undone = (steps.c.run_id == run_id, steps.c.state != StepState.DONE)
        self._connection.execute(update(steps).where(*undone).values(attempts=0, published_at=None))

    def reopen(self, step_ids: Collection[str]) -> None:
        """Make steps claimable again that are done or leased, as if they had never been tried.

        What they left stays noted, to be compared with what they leave next. Ends with `recount`.
        """
        fresh = {"attempts": 0, "error": None, "published_at": None, "done_at": None, "units_done": 0, "units_total": 0}
        ids = list(step_ids)
        for begin in range(0, len(ids), AT_ONCE):
            own = steps.c.id.in_(ids[begin : begin + AT_ONCE])
            self._connection.execute(update(steps).where(own).values(state=StepState.PENDING, **fresh))

    def recount(self, run_id: str) -> None:
        """Count anew what each step that is not done waits for.

        While `prepare` is done again, everything waits for it: its questions and model come with every claim.
        """
        made = steps.alias()
        open_needs = (
            select(func.count())
            .select_from(needs.join(made, made.c.id == needs.c.need_id))
            .where(needs.c.step_id == steps.c.id, needs.c.streams.is_(False), made.c.state != StepState.DONE)
            .scalar_subquery()
        )
        preparing = (
            select(func.count())
            .select_from(made)
            .where(made.c.run_id == run_id, made.c.name == PREPARE, made.c.state != StepState.DONE)
            .where(steps.c.name != PREPARE)
            .scalar_subquery()
        )
        undone = (steps.c.run_id == run_id, steps.c.state != StepState.DONE)
        self._connection.execute(update(steps).where(*undone).values(waiting=open_needs + preparing))

    def set_keys(self, run_id: str, keys: Mapping[str, str]) -> None:
        """Note, by step name, what determines the steps' outputs."""
        rows = [{"step": name, "step_key": key} for name, key in keys.items()]
        where = (steps.c.run_id == run_id, steps.c.name == bindparam("step"))
        if rows:
            self._connection.execute(update(steps).where(*where).values(key=bindparam("step_key")), rows)

    def made(self, keys: Collection[str], project: str) -> dict[str, StepRecord]:
        """By key, a step that is done and has left what the key stands for, in a run of the project; the oldest one."""
        found: dict[str, StepRecord] = {}
        wanted = sorted(keys)
        for begin in range(0, len(wanted), AT_ONCE):
            part = wanted[begin : begin + AT_ONCE]
            query = select(steps).join(runs, runs.c.id == steps.c.run_id).where(runs.c.project == project)
            # Within the project: what another one has made must not be seen, not even by how fast a step is done.
            query = query.where(steps.c.key.in_(part), steps.c.state == StepState.DONE, ~steps.c.removed)
            for row in self._connection.execute(query.order_by(steps.c.run_id, steps.c.position)):
                found.setdefault(row.key, _step(row))
        return found

    def set_removed(self, made: Collection[StepRecord]) -> list[str]:
        """Note that what these steps left is about to be removed; the ids of the artefacts that may go.

        A step that has taken one of them over is marked as well, unless its run goes on: that artefact stays.
        """
        ids = {step.artefact.id for step in made if step.artefact is not None}
        # Found by what has an index: whoever takes an artefact over has the key of its maker.
        alike = or_(steps.c.id.in_([step.id for step in made]), steps.c.key.in_([one.key for one in made if one.key]))
        same = (alike, steps.c.artefact_id.in_(ids), steps.c.state == StepState.DONE)
        goes_on = select(runs.c.id).where(runs.c.state.in_([RunState.RUNNING.value, RunState.PAUSED.value]))
        wanted = set(
            self._connection.execute(select(steps.c.artefact_id).where(*same, steps.c.run_id.in_(goes_on))).scalars()
        )
        free = ids - wanted
        self._connection.execute(update(steps).where(*same, steps.c.artefact_id.in_(free)).values(removed=True))
        return sorted(free)

    def set_published(self, step_ids: Sequence[str], now: float) -> None:
        """Note that task messages for these steps were sent."""
        self._connection.execute(update(steps).where(steps.c.id.in_(step_ids)).values(published_at=now))

    def _change(self, step_id: str, **values: Any) -> None:
        self._connection.execute(update(steps).where(steps.c.id == step_id).values(**values))

    def _all(self, query: Select[Any]) -> list[StepRecord]:
        return [_step(row) for row in self._connection.execute(query.order_by(steps.c.position))]


def _new_row(step_id: str, run_id: str, position: int, spec: StepSpec, waiting: int) -> dict[str, Any]:
    return {
        "id": step_id,
        "run_id": run_id,
        "position": position,
        "name": spec.name,
        "stage": stage_of(spec.name),
        "kind": spec.params.kind,
        "queue": spec.queue.value,
        "spec": spec.model_dump_json(),
        "state": StepState.PENDING.value,
        "waiting": waiting,
        "epoch": 0,
        "renewals": 0,
        "attempts": 0,
        "units_done": 0,
        "units_total": 0,
    }


def _step(row: Row[Any]) -> StepRecord:
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
    return _RESULT.validate_json(dumped) if dumped else None
