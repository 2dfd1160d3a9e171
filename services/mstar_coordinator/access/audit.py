"""Records in the database who asked for which change, and with what outcome.

Every method but GET, HEAD and OPTIONS is noted, once it is answered: also what a role may not do. What workers send,
and scoring, is not: that is traffic and no change. Nor is anything without a key, or strangers could fill the table;
the log has those. The request's body is never looked at.
"""

import time
from collections.abc import Callable

import structlog
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mstar.api.audit import AuditEntry
from mstar.errors import MstarError
from mstar_coordinator.store.database import Store
from mstar_web.auth import NOBODY, principal_of
from mstar_web.bodies import SAFE_METHODS

DAY = 86_400.0
TIDIED_EVERY = 1000
"""Entries between two looks for those that are too old."""
MAX_OBJECT = 200
ABOUT = "mstar.audit.object"
"""Where a route leaves in the request's scope what it changed, if its path does not say so."""

_log = structlog.get_logger(__name__)


class Audit:
    """Middleware around authentication, so that it sees refusals as well."""

    def __init__(
        self,
        app: ASGIApp,
        store: Store,
        days: float,
        unnoted: tuple[str, ...] = (),
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`days`: how long entries are kept. `unnoted`: beginnings of paths that are traffic."""
        self.app = app
        self._store, self._days, self._unnoted, self._wall = store, days, unnoted, wall
        self._noted = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS or scope["path"].startswith(self._unnoted):
            await self.app(scope, receive, send)
            return
        # 500 unless the app answers: what raises an unknown error is answered so by the middleware around this one.
        status, location = 500, ""

        async def seen(message: Message) -> None:
            nonlocal status, location
            if message["type"] == "http.response.start":
                status = message["status"]
                location = Headers(raw=message["headers"]).get("location", "")
            await send(message)

        try:
            await self.app(scope, receive, seen)
        except MstarError as error:
            status = error.status
            raise
        finally:
            if principal_of(scope) is not NOBODY:
                await self._note(scope, status, location)

    async def _note(self, scope: Scope, status: int, location: str) -> None:
        principal = principal_of(scope)
        named = next(iter(scope.get("path_params", {}).values()), None)
        # What was just made has no place in the path yet, but its address is in the answer.
        about = str(scope.get(ABOUT) or (named if named is not None else location.rpartition("/")[2]))
        entry = AuditEntry(
            id=0,
            at=self._wall(),
            actor=principal.name,
            key_id=principal.id,
            project=principal.project,
            method=scope["method"][:10],
            route=str(getattr(scope.get("route"), "path", "unmatched"))[:MAX_OBJECT],
            object=about[:MAX_OBJECT] or None,
            status=status,
            request_id=str(structlog.contextvars.get_contextvars().get("request_id", "")),
            address=str((scope.get("client") or ("",))[0])[:64],
        )
        try:
            await run_in_threadpool(self._write, entry)
        except MstarError as error:
            # The change is done and answered; that its entry is missing must not be.
            _log.error("audit entry not written", detail=error.detail, **entry.model_dump(exclude={"id"}))

    def _write(self, entry: AuditEntry) -> None:
        with self._store.writing() as tx:
            tx.audit.add(entry)
            # With the first entry too, or a coordinator that is restarted often would never tidy up.
            if self._noted % TIDIED_EVERY == 0:
                tx.audit.remove_older(entry.at - self._days * DAY)
        self._noted += 1
