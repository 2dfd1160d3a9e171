"""Accepts batches, cancels them, and records how they end."""

import secrets
import time
from pathlib import Path

from mstar.api.batches import WINDOWS, BatchCreate, BatchState
from mstar.api.keys import Principal
from mstar.errors import IllegalTransition, Internal, InvalidInput, TooManyRequests, Unavailable
from mstar.steps import Queue
from mstar_artefacts.staging import is_stale
from mstar_coordinator.batches.lines import check_lines, error_line
from mstar_coordinator.batches.progress import BatchProgress, answered, own_files
from mstar_coordinator.batches.shelf import FileShelf
from mstar_coordinator.scheduler.ids import new_run_id
from mstar_coordinator.store.batches import BatchRecord
from mstar_coordinator.store.baton import BATCHES, Baton
from mstar_coordinator.store.database import Store
from mstar_coordinator.store.records import IdempotencyKey

MAX_OPEN = 100
"""Batches of a project that have not ended."""
EXPIRED = "the batch expired before this request's turn: send it again in a new batch"
TAKEN_OVER = "another coordinator works batches off since the connection to the database broke"
LOOK_SECONDS = 0.1
"""After a look at who works batches off; whoever takes over needs longer for that."""


class BatchJobs:
    """All batches. Its methods block on disk and database: call them from a thread."""

    def __init__(self, store: Store, shelf: FileShelf, folder: Path) -> None:
        """`folder`: where answers grow until their batch ends."""
        self.shelf = shelf
        self._store = store
        self._folder = folder
        self.baton = store.baton(BATCHES)
        """Of who works batches off: two that did would write each answer twice."""

    def create(self, asked: BatchCreate, caller: Principal, key: IdempotencyKey | None = None) -> str:
        """Take a batch on and return its id; with a key that was used before, the id of the batch it began.

        Raises NotFound, InvalidInput naming a line of the file, TooManyRequests, and IdempotencyMismatch.
        """
        with self._store.reading() as tx:
            file = tx.batches.file(asked.input_file_id, caller.view)
        if file.purpose != "batch":
            raise InvalidInput("input_file_id: this file was not uploaded with purpose=batch", field="input_file_id")
        try:
            # Outside of a transaction: checking 64 MiB takes seconds.
            with self.shelf.path(file.id).open("rb") as lines:
                total = check_lines(lines, asked.endpoint)
        except OSError as error:
            raise Internal(f"the content of file {file.id} cannot be read") from error
        with self._store.writing() as tx:
            now = tx.now()
            batch_id = new_run_id(now, secrets.token_bytes(8), after=tx.batches.newest(), prefix="b")
            taken = tx.runs.take_key(key.key, key.body_sha256, batch_id, now) if key else batch_id
            if taken != batch_id:
                return taken
            # Again: it may have been deleted while its lines were read.
            tx.batches.file(file.id)
            if len(tx.batches.open(caller.project)) >= MAX_OPEN:
                detail = f"a project may have {MAX_OPEN} batches that have not ended: wait for one, or cancel one"
                raise TooManyRequests(detail, retry_after=60)
            window = WINDOWS[asked.completion_window]
            batch = BatchRecord(
                id=batch_id,
                project=caller.project,
                state=BatchState.IN_PROGRESS,
                endpoint=asked.endpoint,
                input_file_id=file.id,
                output_file_id=None,
                error_file_id=None,
                completion_window=asked.completion_window,
                metadata=asked.metadata,
                error=None,
                total=total,
                completed=0,
                failed=0,
                created_at=now,
                worked_at=now,
                expires_at=now + window,
            )
            tx.batches.add(batch)
        return batch_id

    def cancel(self, batch_id: str) -> None:
        """Have a batch end after the line in hand. Raises NotFound, and IllegalTransition when it has ended."""
        with self._store.writing() as tx:
            batch = tx.batches.get(batch_id, lock=True)
            if batch.state is BatchState.CANCELLING:
                return
            if batch.state is not BatchState.IN_PROGRESS:
                raise IllegalTransition(
                    f"batch {batch_id} has ended as {batch.state.value}: there is nothing to cancel"
                )
            tx.batches.set(batch_id, state=BatchState.CANCELLING.value, cancelling_at=tx.now())

    def open(self) -> tuple[list[BatchRecord], float]:
        """Batches that have not ended, who has waited longest first; and the time of day."""
        with self._store.reading() as tx:
            return tx.batches.open(), tx.now()

    def put_off(self, seconds: float) -> list[BatchRecord]:
        """Have all that have not ended expire later by so much, and return them as `open` does."""
        with self._store.writing() as tx:
            for batch in tx.batches.open():
                tx.batches.set(batch.id, expires_at=batch.expires_at + seconds)
            return tx.batches.open()

    def runs_score(self) -> bool:
        """Whether a run has its responses scored now."""
        with self._store.reading() as tx:
            return tx.steps.demand().get(Queue.SCORE, 0) > 0

    def progress(self, batch: BatchRecord) -> BatchProgress:
        """How far a batch is. Raises OSError."""
        return BatchProgress(self._folder, batch.id, self.shelf.path(batch.input_file_id), _Hold(self.baton))

    def note(self, batch_id: str, progress: BatchProgress) -> None:
        """Write the counts down, after what they count is on the disk."""
        with self._store.writing() as tx:
            tx.batches.set_worked(batch_id, tx.now(), completed=progress.completed, failed=progress.failed)

    def pass_over(self, batch_id: str) -> None:
        """Have all others go first."""
        with self._store.writing() as tx:
            tx.batches.set_worked(batch_id, tx.now())

    def sweep(self) -> None:
        """Remove answers of batches that have ended, which a crash has left beside their files."""
        if not self._folder.is_dir():
            return
        left = [path for path in self._folder.iterdir() if self._store.alone or is_stale(path)]
        with self._store.reading() as tx:
            growing = {batch.id for batch in tx.batches.open()}
        for path in left:
            if path.name.partition(".")[0] not in growing:
                path.unlink(missing_ok=True)

    def fail(self, batch: BatchRecord, reason: str) -> None:
        """End a batch whose input cannot be read. What was answered by then becomes its files. Raises OSError."""
        self._close(batch, BatchState.FAILED, answered(self._folder, batch.id), reason)

    def end(self, batch: BatchRecord, state: BatchState) -> None:
        """Make files of the answers and write the state, all at once; a crash before that leaves the batch open.

        Raises OSError, InvalidInput for a damaged line of an expired batch, and Unavailable as `Progress.write`.
        """
        with self.progress(batch) as progress:
            # OpenAI's batches answer what was not done with `batch_expired`; those that were cancelled leave it out.
            while state is BatchState.EXPIRED and (line := progress.next()) is not None:
                left = error_line(batch.id, progress.done, line.custom_id, "batch_expired", EXPIRED)
                progress.write(left, good=False)
        self._close(batch, state, (progress.completed, progress.failed))

    def _close(self, batch: BatchRecord, state: BatchState, counts: tuple[int, int], error: str | None = None) -> None:
        """`counts`: answers of status 200, and all others."""
        grown = own_files(self._folder, batch.id)
        staged = {}
        try:
            for kind, path, count in zip(("output", "error"), grown, counts, strict=False):
                if count:
                    with path.open("rb") as source:
                        staged[kind] = self.shelf.stage(source)
            with self._store.writing() as tx:
                # Another round may have ended it between: its files are made once.
                if tx.batches.get(batch.id, lock=True).ended_at is not None:
                    return
                ids = {
                    kind: self.shelf.keep(tx, one, f"{batch.id}_{kind}.jsonl", "batch_output", batch.project).id
                    for kind, one in staged.items()
                }
                tx.batches.set(
                    batch.id,
                    state=state.value,
                    error=error,
                    output_file_id=ids.get("output"),
                    error_file_id=ids.get("error"),
                    completed=counts[0],
                    failed=counts[1],
                    ended_at=tx.now(),
                )
        finally:
            for one in staged.values():
                one.path.unlink(missing_ok=True)
        # After the commit: until then these files are the only answers there are.
        for path in grown:
            path.unlink(missing_ok=True)


class _Hold:
    """Called before anything is written: raises Unavailable once another coordinator may write the same."""

    def __init__(self, baton: Baton) -> None:
        self._baton, self._taken = baton, baton.taken
        self._looked = float("-inf")

    def __call__(self) -> None:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        # Who has lost it and has it again knows nothing of what was written between.
        if not self._baton.held() or self._baton.taken != self._taken:
            raise Unavailable(TAKEN_OVER, retry_after=1.0)
        self._looked = time.monotonic()
