"""Keeps the index of a run's responses current while somebody looks at it; nothing is done for runs nobody reads.

One thread reads the shards that are new since the last time, the iteration that was asked for first. Whoever asks waits
for it only a moment, and is told how much of the run can be searched by then.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from mstar.api.responses import Indexed
from mstar.errors import MstarError, StorageFull, Unavailable
from mstar.selection_rules import SelectionRecipe
from mstar.stages.generate import GENERATE
from mstar.stages.select import SelectParams
from mstar.step_names import shard_of
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.responses.filling import Shard, fill
from mstar_coordinator.responses.sources import Source, sources_of
from mstar_coordinator.responses.tables import is_damaged, open_for_reading, open_for_writing, remove
from mstar_coordinator.store.database import Store, Transaction
from mstar_coordinator.store.records import RunRecord, StepRecord, StepState

log = structlog.get_logger(__name__)
PATIENCE_SECONDS = 0.25
"""How long a request waits for shards that are not in the index yet."""
IN_THE_MAKING = "the index of this run's responses is being made"
NO_RULE = SelectionRecipe()


class _SampledAnew(Exception):
    """A shard in the index was sampled again since, and came out otherwise."""


class ResponseIndexes:
    """The indexes of all runs, below one folder."""

    def __init__(self, folder: Path, store: Store, artefacts: ArtefactStore) -> None:
        self._folder = folder
        self._store = store
        self._artefacts = artefacts
        self._wanted: dict[str, int] = {}
        """Run → iteration to read first."""
        self._changed = threading.Condition()
        self._making = threading.Lock()
        """Held while an index is made, which two must not do at once."""
        self._stopping = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def reading(self, run_id: str, iteration: int | None = None) -> Iterator[tuple[sqlite3.Connection, Indexed]]:
        """The index of a run, as current as it gets in a moment. Raises NotFound for a run that does not exist."""
        with self._store.reading() as tx:
            tx.runs.get(run_id)
            # Every commit has an event, so an index that has seen the last one has everything.
            event = tx.events.last_id(run_id)
        with self._removed_if_damaged(run_id):
            if self._progress(run_id) != event:
                self._catch_up(run_id, 1 if iteration is None else iteration)
            connection = open_for_reading(self._path(run_id))
            if connection is None:
                # Removed in this moment, since it is made anew.
                raise Unavailable(IN_THE_MAKING, retry_after=1.0)
            try:
                yield connection, _indexed(connection, iteration)
            finally:
                connection.close()

    def discard(self, run_id: str) -> None:
        """Remove the index of a run that is deleted."""
        with self._changed:
            self._wanted.pop(run_id, None)
        remove(self._path(run_id))

    def stop(self) -> None:
        """End the thread after the shard in hand."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    @contextmanager
    def _removed_if_damaged(self, run_id: str) -> Iterator[None]:
        """Around what reads or writes an index. Raises Unavailable for a damaged one, which is then made anew."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            log.warning("a damaged index of a run's responses is removed", run=run_id, error=str(error))
            with self._making:
                remove(self._path(run_id))
            raise Unavailable(IN_THE_MAKING, retry_after=1.0) from None

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.sqlite"

    def _open(self, run_id: str) -> sqlite3.Connection:
        with self._making:
            return open_for_writing(self._path(run_id))

    def _progress(self, run_id: str) -> int:
        """The event up to which a run is in its index, which is made where there is none."""
        connection = open_for_reading(self._path(run_id)) or self._open(run_id)
        try:
            return int(connection.execute("SELECT event FROM progress").fetchone()[0])
        finally:
            connection.close()

    def _catch_up(self, run_id: str, iteration: int) -> None:
        with self._changed:
            self._wanted[run_id] = iteration
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._work, name="response-index", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            self._changed.wait_for(lambda: run_id not in self._wanted, PATIENCE_SECONDS)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._stopping)
                if self._stopping:
                    return
                run_id, iteration = next(iter(self._wanted.items()))
            try:
                with self._removed_if_damaged(run_id):
                    self._update(run_id, iteration)
            except (MstarError, sqlite3.Error, OSError) as error:
                log.warning("the index of a run's responses is not current", run=run_id, error=str(error))
            # Whatever it is: without this thread no run's index would ever be current again.
            except Exception:
                log.exception("the index of a run's responses is not current", run=run_id)
            with self._changed:
                if self._wanted.get(run_id) == iteration:
                    del self._wanted[run_id]
                self._changed.notify_all()

    def _update(self, run_id: str, iteration: int) -> None:
        with self._store.reading() as tx:
            run, event = tx.runs.get(run_id), tx.events.last_id(run_id)
            marks = tx.steps.stage_marks(run_id)
        # Again where a shard was sampled anew: words cannot be taken out of the index, so all of it is made once more.
        for _ in range(2):
            connection = self._open(run_id)
            try:
                return self._read_new(connection, run, marks, iteration, event)
            except _SampledAnew:
                with self._making:
                    remove(self._path(run_id))
            finally:
                connection.close()

    def _read_new(
        self,
        connection: sqlite3.Connection,
        run: RunRecord,
        marks: dict[str, tuple[int, float]],
        iteration: int,
        event: int,
    ) -> None:
        noted = {row[0]: (row[1], row[2]) for row in connection.execute("SELECT name, done, last FROM stages")}
        # Written first, so that a reader of a half-filled index is told how much is missing.
        sources = sources_of(run.recipe, run.iterations)
        expected = [(one.number, marks.get(one.sampled, (0, 0.0))[0]) for one in sources]
        connection.executemany("INSERT OR REPLACE INTO expected VALUES (?, ?)", expected)
        order = sorted(sources, key=lambda one: (one.number != iteration, one.number))
        problem = None
        for one in order:
            stages = [stage for stage in (one.sampled, one.judged) if stage in marks]
            if all(noted.get(stage) == marks[stage] for stage in stages):
                continue
            with self._store.reading() as tx:
                shards = _shards(tx, run, one)
            problem = self._read(connection, run, shards) or problem
            if self._stopping:
                return
            # The marks that were read before the shards: what is committed in between is read the next time.
            values = [(stage, *marks[stage]) for stage in stages]
            connection.executemany("INSERT OR REPLACE INTO stages VALUES (?, ?, ?)", values)
        connection.execute("UPDATE progress SET event = ?, problem = ?", (event, problem))

    def _read(self, connection: sqlite3.Connection, run: RunRecord, shards: Sequence[Shard]) -> str | None:
        """What is wrong with the last shard that could not be read, if any."""
        there = {row[0]: row[1:] for row in connection.execute("SELECT name, rollouts, selection FROM shards")}
        if any(one.name in there and there[one.name][0] != one.rollouts.sha256 for one in shards):
            raise _SampledAnew
        new = [
            one
            for one in shards
            if one.name not in there or (one.selection is not None and there[one.name][1] != one.selection.sha256)
        ]
        problem = None
        for shard in new:
            if self._stopping:
                break
            try:
                fill(connection, self._artefacts, shard, run.recipe.reward_rule)
            except MstarError as error:
                problem = f"{shard.name}: {error.detail}"
            except sqlite3.OperationalError as error:
                if "full" in str(error):
                    raise StorageFull("no space left for the index of responses: free some disk") from error
                raise
        return problem


def _shards(tx: Transaction, run: RunRecord, source: Source) -> list[Shard]:
    """Committed shards of a source, with the places that their questions have."""
    found = []
    sampled, judged = (tx.steps.of_stage(run.id, stage) for stage in (source.sampled, source.judged))
    chosen = {shard_of(step.name): step for step in judged}
    first = 0
    for step in sampled:
        if step.artefact is not None and step.state is StepState.DONE:
            rule = NO_RULE if run.recipe.measure is None else None
            found.append(_shard(step, chosen.get(shard_of(step.name)), source.number, first, rule))
        # Counted for shards that are not there yet as well, so that no place moves when they come.
        first += GENERATE.narrow(step.spec.params).count
    return found


def _shard(step: StepRecord, judged: StepRecord | None, number: int, first: int, rule: SelectionRecipe | None) -> Shard:
    assert step.artefact is not None
    done = judged is not None and judged.state is StepState.DONE
    if judged is not None and isinstance(judged.spec.params, SelectParams):
        rule = judged.spec.params.rule
    return Shard(
        name=step.name,
        iteration=number,
        first=first,
        rollouts=step.artefact,
        selection=judged.artefact if judged is not None and done else None,
        rule=rule,
    )


def _indexed(connection: sqlite3.Connection, iteration: int | None) -> Indexed:
    """Of one iteration, or of all."""
    where, values = ("", ()) if iteration is None else (" WHERE iteration = ?", (iteration,))
    shards = connection.execute(f"SELECT coalesce(sum(shards), 0) FROM expected{where}", values).fetchone()[0]  # noqa: S608
    indexed = connection.execute(f"SELECT count(*) FROM shards{where}", values).fetchone()[0]  # noqa: S608
    problem = connection.execute("SELECT problem FROM progress").fetchone()[0]
    return Indexed(shards=shards, indexed=indexed, problem=problem if indexed < shards else None)
