"""Bodies of the audit log: who changed what."""

from mstar.types import Frozen


class AuditEntry(Frozen):
    """One change that somebody asked for, whatever came of it. No key and no body is in it."""

    id: int
    at: float
    """Seconds since the epoch."""
    actor: str
    """Name of the key; `anyone` where no key is asked for."""
    key_id: str | None = None
    """None for bootstrap keys."""
    project: str
    method: str
    route: str
    """Template of the path, such as `/v1/runs/{run_id}/cancel`."""
    object: str | None = None
    """What it was about: the id in the path, or that of what was made."""
    status: int
    """Of the answer: 2xx is done, anything else was refused or failed."""
    request_id: str
    """As in the log and in the header X-Request-ID."""
    address: str
    """Of the other end of the connection, which may be a proxy."""
