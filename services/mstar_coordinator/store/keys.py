"""Statements on keys."""

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from mstar.api.keys import Key, Limits, Role
from mstar.errors import NotFound
from mstar_coordinator.store.tables import api_keys


class Keys:
    """All keys, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, key: Key, secret_hash: str) -> None:
        """Write a new key."""
        values = key.model_dump() | {
            "roles": " ".join(key.roles),
            "limits": key.limits.model_dump_json(exclude_none=True),
            "secret_hash": secret_hash,
        }
        self._connection.execute(insert(api_keys).values(**values))

    def find(self, key_id: str) -> tuple[Key, str] | None:
        """A key and the hash of its secret; also one that has ended."""
        row = self._connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
        return None if row is None else (_key(row), str(row.secret_hash))

    def get(self, key_id: str) -> Key:
        """Raises NotFound."""
        found = self.find(key_id)
        if found is None:
            raise _unknown(key_id)
        return found[0]

    def page(self, project: str | None, after: str | None, limit: int) -> list[Key]:
        """Keys of a project, or of all; the newest first. `after` is the id of the last one already seen.

        Raises NotFound where that is not a key of the project.
        """
        query = select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc()).limit(limit)
        if project is not None:
            query = query.where(api_keys.c.project == project)
        if after is not None:
            # Ids are random, so pages go by time, and by id among keys of the same moment.
            last = self._own(after, project)
            older = (api_keys.c.created_at < last.created_at) | (
                (api_keys.c.created_at == last.created_at) & (api_keys.c.id < last.id)
            )
            query = query.where(older)
        return [_key(row) for row in self._connection.execute(query)]

    def revoke(self, key_id: str, project: str | None, at: float) -> None:
        """Note that a key has ended, unless it has already. Raises NotFound, also for a key of another project."""
        self._own(key_id, project)
        ended = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        self._connection.execute(ended.values(revoked_at=at))

    def _own(self, key_id: str, project: str | None) -> Key:
        """A key of a project, or of any. Raises NotFound."""
        found = self.get(key_id)
        # Answered as if there were none, or ids of other projects could be tried out.
        if project is not None and found.project != project:
            raise _unknown(key_id)
        return found


def _unknown(key_id: str) -> NotFound:
    return NotFound(f"key {key_id[:64]!r} does not exist: list keys with GET /v1/keys", field="key_id")


def _key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        roles=tuple(map(Role, row.roles.split())),
        project=row.project,
        limits=Limits.model_validate_json(row.limits),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
