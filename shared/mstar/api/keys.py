"""Bodies about keys: who may do what, for which project, up to which limits, and until when."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from mstar.types import FIRST_BAD_ENDS, Frozen

DEFAULT_PROJECT = "default"
"""Holds what exists without a project of its own: all runs of before there were projects, and bootstrap keys."""
MAX_DAYS = 3660
KEY_TEXT = r"mstar_[a-z2-7]{12}_[A-Za-z0-9_-]{43}"
"""How a key looks: a mark that scanners for leaked secrets find, its public id, and 256 bits that are the secret."""

ProjectName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
KeyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,79}$")]
Amount = Annotated[int, Field(ge=1, le=10**12)]


class Role(StrEnum):
    """What a key may be used for; a key has one or more."""

    SCORE = "score"
    """Score and rank responses."""
    UPLOAD = "upload"
    """Bring data."""
    READ = "read"
    """See runs and what they made, change nothing."""
    RUN_ADMIN = "run_admin"
    """Start and steer runs; make and revoke keys of the same project."""
    WEIGHTS_ADMIN = "weights_admin"
    """Load weights into policy and PRM."""
    METRICS = "metrics"
    """Read /metrics and nothing else."""
    INTERNAL = "internal"
    """The project's own services and workers."""


OPERATORS_ONLY = frozenset({Role.WEIGHTS_ADMIN, Role.METRICS, Role.INTERNAL})
"""Roles that reach beyond one project, so that only an operator hands them out."""


class Limits(Frozen):
    """What a key may use; None is no limit. Amounts by the minute are counted in each process by itself."""

    requests_per_minute: Amount | None = None
    images_per_minute: Amount | None = None
    megapixels_per_minute: Amount | None = None
    tokens_per_minute: Amount | None = None
    """Read and written ones."""
    concurrent: Amount | None = None
    """Requests under way at once."""
    stored_bytes: Amount | None = None
    """Of the files for batches that the key has uploaded and not deleted."""


class Principal(Frozen):
    """Who sends a request, as its key or session says."""

    name: str
    id: str | None = None
    """Public id of the key; None for a bootstrap key, and for anyone where no key is asked for."""
    roles: frozenset[Role]
    project: str = DEFAULT_PROJECT
    operator: bool = False
    """May hand out keys of any project and role: the bootstrap key for run_admin."""
    limits: Limits = Limits()
    expires_at: float | None = None

    @property
    def view(self) -> str | None:
        """The one project of which anything is seen; None for workers, who do the steps of all."""
        return None if Role.INTERNAL in self.roles and not self.operator else self.project


class KeyCreate(Frozen):
    """`POST /v1/keys`."""

    name: KeyName
    """For people: whose key it is, or what uses it. Lists and the audit log show it."""
    roles: Annotated[tuple[Role, ...], FIRST_BAD_ENDS] = Field(min_length=1, max_length=len(Role))
    project: ProjectName | None = None
    """The project that it opens; unset, that of the key that makes it. Only an operator may name another one."""
    days: int | None = Field(default=None, ge=1, le=MAX_DAYS)
    """Days until it expires; unset, it does not."""
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _each_role_once(self) -> Self:
        if len(set(self.roles)) != len(self.roles):
            raise ValueError("roles: name each role once")
        return self


class Key(Frozen):
    """A key, without its secret. Times are seconds since the epoch."""

    id: str
    """Public: the middle part of the key."""
    name: str
    roles: tuple[Role, ...]
    project: str
    limits: Limits
    created_at: float
    created_by: str
    """Name of the key that made it."""
    expires_at: float | None = None
    revoked_at: float | None = None


class NewKey(Key):
    """A key that was just made."""

    key: str
    """The whole key. It is shown this once: the database has only a hash."""


class Introspect(Frozen):
    """`POST /internal/v1/keys/introspect`: a service asks about a key that it was sent (after RFC 7662)."""

    key: str = Field(max_length=200)


class Introspected(Frozen):
    """Whose key it is; None for one that is unknown, expired or revoked."""

    principal: Principal | None = None
