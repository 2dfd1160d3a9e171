"""Statements on files and batches."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from mstar.api.batches import OPEN_STATES, BatchState
from mstar.errors import NotFound
from mstar_coordinator.store.tables import batches, files

TICK = 0.001
"""Seconds between two turns at least, as they are noted."""


@dataclass(frozen=True)
class FileRecord:
    """One file. Times are seconds since the epoch."""

    id: str
    project: str
    filename: str
    purpose: str
    bytes: int
    sha256: str
    created_at: float
    key_id: str | None = None
    """Public id of the key that has uploaded it; None for one of settings, and for what a batch has written."""


@dataclass(frozen=True)
class BatchRecord:
    """One batch. Times are seconds since the epoch."""

    id: str
    project: str
    state: BatchState
    endpoint: str
    input_file_id: str
    output_file_id: str | None
    error_file_id: str | None
    completion_window: str
    metadata: dict[str, str] | None
    error: str | None
    total: int
    completed: int
    failed: int
    created_at: float
    worked_at: float
    """When its last turn ended; the batch that has waited longest is next."""
    expires_at: float
    cancelling_at: float | None = None
    ended_at: float | None = None


class Batches:
    """All files and batches, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_file(self, file: FileRecord) -> None:
        """Write a new file."""
        self._connection.execute(insert(files).values(**vars(file)))

    def file(self, file_id: str, project: str | None = None) -> FileRecord:
        """A file; of a project, where one is given. Raises NotFound."""
        row = self._connection.execute(select(files).where(files.c.id == file_id)).first()
        if row is None or project not in (None, row.project):
            raise no_file(file_id)
        return FileRecord(**row._mapping)

    def file_project(self, file_id: str) -> str | None:
        """The project that a file belongs to; None when there is no such file."""
        return self._connection.execute(select(files.c.project).where(files.c.id == file_id)).scalar()

    def file_page(self, project: str | None, purpose: str | None, after: str | None, limit: int) -> list[FileRecord]:
        """Files, newest first. `after` is the id of the last one already seen."""
        query = select(files).order_by(files.c.id.desc()).limit(limit)
        if project is not None:
            query = query.where(files.c.project == project)
        if purpose is not None:
            query = query.where(files.c.purpose == purpose)
        if after is not None:
            # Ids sort by the time at which they were made.
            query = query.where(files.c.id < after)
        return [FileRecord(**row._mapping) for row in self._connection.execute(query)]

    def stored_bytes(self, project: str) -> int:
        """Of all files of a project together."""
        total = select(func.coalesce(func.sum(files.c.bytes), 0)).where(files.c.project == project)
        return int(self._connection.execute(total).scalar_one())

    def stored_by_key(self, key_id: str) -> int:
        """Of all files that a key has uploaded."""
        total = select(func.coalesce(func.sum(files.c.bytes), 0)).where(files.c.key_id == key_id)
        return int(self._connection.execute(total).scalar_one())

    def newest_file(self) -> str | None:
        """Id of the file that was made last."""
        return self._connection.execute(select(func.max(files.c.id))).scalar()

    def remove_file(self, file_id: str) -> None:
        """Take a file out of the list."""
        self._connection.execute(delete(files).where(files.c.id == file_id))

    def is_read(self, file_id: str) -> bool:
        """Whether a batch that has not ended reads a file."""
        query = select(batches.c.id).where(batches.c.input_file_id == file_id, batches.c.state.in_(_OPEN)).limit(1)
        return self._connection.execute(query).first() is not None

    def add(self, batch: BatchRecord) -> None:
        """Write a new batch."""
        noted = None if batch.metadata is None else json.dumps(batch.metadata)
        self._connection.execute(
            insert(batches).values(**{**vars(batch), "state": batch.state.value, "metadata": noted})
        )

    def get(self, batch_id: str, *, lock: bool = False) -> BatchRecord:
        """A batch, locked until the transaction ends where that is wanted. Raises NotFound."""
        query = select(batches).where(batches.c.id == batch_id)
        row = self._connection.execute(query.with_for_update() if lock else query).first()
        if row is None:
            raise no_batch(batch_id)
        return _batch(row)

    def project_of(self, batch_id: str) -> str | None:
        """The project that a batch belongs to; None when there is no such batch."""
        return self._connection.execute(select(batches.c.project).where(batches.c.id == batch_id)).scalar()

    def page(self, project: str | None, after: str | None, limit: int) -> list[BatchRecord]:
        """Batches, newest first. `after` is the id of the last one already seen."""
        query = select(batches).order_by(batches.c.id.desc()).limit(limit)
        if project is not None:
            query = query.where(batches.c.project == project)
        if after is not None:
            query = query.where(batches.c.id < after)
        return [_batch(row) for row in self._connection.execute(query)]

    def newest(self) -> str | None:
        """Id of the batch that was made last."""
        return self._connection.execute(select(func.max(batches.c.id))).scalar()

    def open(self, project: str | None = None) -> list[BatchRecord]:
        """Batches that have not ended; who has waited longest for a turn comes first."""
        query = select(batches).where(batches.c.state.in_(_OPEN)).order_by(batches.c.worked_at, batches.c.id)
        if project is not None:
            query = query.where(batches.c.project == project)
        return [_batch(row) for row in self._connection.execute(query)]

    def set_worked(self, batch_id: str, now: float, **values: Any) -> None:
        """As `set`, with the end of a turn: of all open batches this one is the last to have had one."""
        latest = self._connection.execute(select(func.max(batches.c.worked_at)).where(batches.c.state.in_(_OPEN)))
        # Not the time alone: after a clock was put back, the same batch would come first until it has caught up.
        self.set(batch_id, worked_at=max(now, (latest.scalar() or 0.0) + TICK), **values)

    def set(self, batch_id: str, **values: Any) -> None:
        """Write some of its columns."""
        self._connection.execute(update(batches).where(batches.c.id == batch_id).values(**values))


_OPEN = [state.value for state in OPEN_STATES]


def no_file(file_id: str) -> NotFound:
    """The error for a file that does not exist, or that belongs to a project which the caller does not see."""
    return NotFound(f"file {file_id[:64]!r} does not exist: list files with GET /v1/files", field="file_id")


def no_batch(batch_id: str) -> NotFound:
    """The error for a batch that does not exist, or that belongs to a project which the caller does not see."""
    return NotFound(f"batch {batch_id[:64]!r} does not exist: list batches with GET /v1/batches", field="batch_id")


def _batch(row: Row[Any]) -> BatchRecord:
    values = dict(row._mapping)
    noted = values["metadata"]
    return BatchRecord(
        **{**values, "state": BatchState(values["state"]), "metadata": None if noted is None else json.loads(noted)}
    )
