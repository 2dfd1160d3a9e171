"""Statements on the audit log."""

from sqlalchemy import Connection, delete, insert, select

from mstar.api.audit import AuditEntry
from mstar_coordinator.store.tables import audit


class AuditLog:
    """All entries, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, entry: AuditEntry) -> None:
        """Write an entry; the database numbers it."""
        self._connection.execute(insert(audit).values(**entry.model_dump(exclude={"id"})))

    def page(self, project: str | None, before: int | None, limit: int) -> list[AuditEntry]:
        """Entries of a project, or of all; the newest first. `before`: number of the last one already seen."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if project is not None:
            query = query.where(audit.c.project == project)
        if before is not None:
            query = query.where(audit.c.id < before)
        return [AuditEntry(**row._mapping) for row in self._connection.execute(query)]

    def remove_older(self, at: float) -> None:
        """Forget entries from before a time."""
        self._connection.execute(delete(audit).where(audit.c.at < at))
