"""HEAD on every path that answers GET: the same status and headers, and no body (RFC 9110, section 9.3.2)."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Asks for a HEAD what a GET would be answered, and keeps the body back."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        with anyio.CancelScope() as answering:

            async def without_body(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await send(message)
                    await send({"type": "http.response.body", "body": b""})
                elif message.get("more_body", False):
                    # A download or a stream of events, which nobody would read to its end.
                    answering.cancel()

            # A copy: log, metrics and server go on to see the request that came.
            await self.app({**scope, "method": "GET"}, receive, without_body)
