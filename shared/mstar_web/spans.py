"""A span for each request that a service answers, in the trace of its caller.

What this leaves out: requests that machines send all the time, and spans of the work inside a service.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mstar import tracing
from mstar_web.metrics import METHODS, route_of
from mstar_web.requests import QUIET_PATHS

INTERNAL = "/internal/"
"""What only workers ask: outside a step's trace it is heartbeats and messages for steps that are taken."""
CARRIERS = ("traceparent", "tracestate")


class ServerSpans:
    """A span for each request, below the caller's where its headers name one.

    Its attributes are method, route and status: nothing that a caller sends.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not tracing.is_on():
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        carried = {name: headers[name] for name in CARRIERS if name in headers}
        path: str = scope["path"]
        if path in QUIET_PATHS or (path.startswith(INTERNAL) and not carried):
            await self.app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in METHODS else "other"

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.note("http.response.status_code", message["status"])
                if message["status"] >= 500:
                    span.fail(str(message["status"]))
            await send(message)

        with tracing.span(method, kind="server", values={"http.request.method": method}, under=carried) as span:
            try:
                await self.app(scope, receive, noting)
            finally:
                route = route_of(scope)
                span.note("http.route", route)
                span.rename(f"{method} {route}")
