"""Changes of steps: the graph, leases with fencing epochs, and what finished steps leave."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, or_, select, update

from mstar.api.steps import Heartbeat
from mstar.evolution import RunState
from mstar.stages import StepSpec
from mstar.step_names import PREPARE, stage_of
from mstar.steps import ArtefactRef, StepResult
from mstar_coordinator.store.records import Lease, StepRecord, StepState
from mstar_coordinator.store.step_queries import RESULT, StepQueries, step_of
from mstar_coordinator.store.tables import needs, runs, steps

AT_ONCE = 500
"""Keys or ids in one statement: a database bounds its parameters, and a run may have more steps than that."""


class Steps(StepQueries):
    """All steps, within one transaction, to read and to change. Changes assume that the caller holds the run's lock."""

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

    # --- leases and what they leave

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
            result=RESULT.dump_json(result).decode(),
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
                found.setdefault(row.key, step_of(row))
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
