"""Keeps the content of uploaded files on the disk, each under an id that the server has made.

The row in the database and the content appear together: the content is written beside, and gets its name within the
transaction that writes the row. What a crash leaves without a row is removed at the next start.
"""

import hashlib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mstar.api.batches import MAX_FILE_BYTES
from mstar.api.keys import Principal
from mstar.errors import Conflict, TooLarge, TooManyRequests
from mstar.writing import not_written
from mstar_artefacts.staging import is_stale
from mstar_coordinator.scheduler.ids import new_run_id
from mstar_coordinator.store.batches import FileRecord
from mstar_coordinator.store.database import Store, Transaction

PROJECT_BYTES = 4 * 2**30
"""Of all files that a project keeps; what its batches write is counted, and never refused."""
CHUNK = 2**20
STORED_RETRY_SECONDS = 60.0
"""Waiting alone frees nothing; somebody may delete files in the meantime."""


@dataclass(frozen=True)
class Staged:
    """Content that is written and has no name yet."""

    path: Path
    bytes: int
    sha256: str


class FileShelf:
    """The files of all projects. Its methods block on the disk: call them from a thread."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store

    def path(self, file_id: str) -> Path:
        """Where the content of a file lies."""
        return self._folder / file_id

    def sweep(self) -> None:
        """Remove content without a row. Call it while nothing is uploaded here."""
        if not self._folder.is_dir():
            return
        # Another coordinator of the same database may write a file now, whose row comes at its end.
        old = [path for path in self._folder.iterdir() if self._store.alone or is_stale(path)]
        with self._store.reading() as tx:
            # One by one: no list of them is long enough for all.
            left = [path for path in old if tx.batches.file_project(path.name) is None]
        for path in left:
            path.unlink(missing_ok=True)

    def upload(self, source: BinaryIO, filename: str, caller: Principal) -> FileRecord:
        """Keep what somebody sends for batches.

        Raises TooLarge, StorageFull, NotWritable, and TooManyRequests where the caller's key has as much as it may.
        """
        staged = self.stage(source, MAX_FILE_BYTES)
        try:
            with self._store.writing() as tx:
                # In the transaction that adds the file: of two uploads at once the second one sees the first.
                if tx.batches.stored_bytes(caller.project) + staged.bytes > PROJECT_BYTES:
                    detail = (
                        f"the files of a project may have at most {PROJECT_BYTES} bytes together: delete some first"
                    )
                    raise TooLarge(detail)
                _check_own(tx, caller, staged.bytes)
                return self.keep(tx, staged, filename, "batch", caller.project, caller.id)
        finally:
            staged.path.unlink(missing_ok=True)

    def stage(self, source: BinaryIO, most: int | None = None) -> Staged:
        """Write content beside the files. Raises TooLarge, StorageFull and NotWritable."""
        # On the same file system as its final name, so that `keep` can rename it.
        path = self._folder / f"new-{secrets.token_hex(8)}"
        digest, size = hashlib.sha256(), 0
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as sink:
                while part := source.read(CHUNK):
                    size += len(part)
                    if most is not None and size > most:
                        raise TooLarge(f"a file may have at most {most} bytes: send smaller ones", field="file")
                    digest.update(part)
                    sink.write(part)
                sink.flush()
                os.fsync(sink.fileno())
        except BaseException as error:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise not_written(error, path) from error
            raise
        return Staged(path, size, digest.hexdigest())

    def keep(
        self, tx: Transaction, staged: Staged, filename: str, purpose: str, project: str, key_id: str | None = None
    ) -> FileRecord:
        """Give staged content its name and its row."""
        now = tx.now()
        file_id = new_run_id(now, secrets.token_bytes(8), after=tx.batches.newest_file(), prefix="f")
        record = FileRecord(file_id, project, filename, purpose, staged.bytes, staged.sha256, now, key_id)
        # Renamed before the row is committed: a row without content would be worse than the file that `sweep` finds.
        staged.path.rename(self.path(file_id))
        tx.batches.add_file(record)
        return record

    def delete(self, file_id: str) -> None:
        """Remove a file. Raises NotFound, and Conflict while a batch reads it."""
        with self._store.writing() as tx:
            tx.batches.file(file_id)
            if tx.batches.is_read(file_id):
                raise Conflict("a batch that has not ended reads this file: cancel it, or wait for its end")
            tx.batches.remove_file(file_id)
        # After the commit: what a crash leaves here has no row, and `sweep` removes it.
        self.path(file_id).unlink(missing_ok=True)


def _check_own(tx: Transaction, caller: Principal, size: int) -> None:
    """Raises TooManyRequests where this many bytes more are too many for the caller's key."""
    most = caller.limits.stored_bytes
    if caller.id is not None and most is not None and tx.batches.stored_by_key(caller.id) + size > most:
        detail = f"the files of this key may have {most} bytes together: delete some with DELETE /v1/files"
        raise TooManyRequests(detail, retry_after=STORED_RETRY_SECONDS)
