"""What surrounds one request: its id, its log line, and the last resort for an error that nothing else answered."""

import re
import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mstar_web.auth import principal_of
from mstar_web.problems import problem_response

HEADER = "X-Request-ID"
QUIET_PATHS = frozenset({"/livez", "/readyz", "/metrics", "/v1/power"})
"""Asked all the time, by machines."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_log = structlog.get_logger(__name__)


class RequestContext:
    """Gives each request an id, in the answer and in every log line, and turns any exception into a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        # An id of the caller's goes into logs and headers, so only plain ones are taken over.
        request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        status: int | None = None

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, with_id)
            except Exception as error:
                if status is not None:
                    # The head of the answer is out, and a second one cannot follow it.
                    raise
                await problem_response(error)(scope, receive, with_id)
            finally:
                # Here and not in the server: only this place knows the caller and the status that an error became.
                if scope["path"] not in QUIET_PATHS:
                    milliseconds = round(1000 * (time.perf_counter() - started), 1)
                    _log.info(
                        "request",
                        method=scope["method"],
                        path=scope["path"],
                        status=status,
                        ms=milliseconds,
                        caller=principal_of(scope).name,
                    )
