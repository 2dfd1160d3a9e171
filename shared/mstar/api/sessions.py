"""Bodies about who is signed in: sessions of people in browsers, which whoever makes keys may list and end."""

from pydantic import Field

from mstar.types import Frozen


class OpenSession(Frozen):
    """A session that has not ended. Times are seconds since the epoch."""

    id: str
    """Public: names the session, and opens nothing."""
    name: str
    """Who is signed in, as the audit log has it: the name of the key, or `oidc:` and who the provider vouched for."""
    key_id: str | None
    """The key that it began with; None for a bootstrap key, and where a provider vouched."""
    project: str
    created_at: float
    expires_at: float


class EndSessions(Frozen):
    """`POST /v1/sessions/end`."""

    name: str = Field(min_length=1, max_length=100)
    """All sessions of this name end."""


class EndedSessions(Frozen):
    """How many sessions were ended."""

    ended: int
