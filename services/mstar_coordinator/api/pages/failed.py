"""Errors as pages: a person who follows a link gets an explanation and a way back, where a program gets a problem.

The status stays, and so does what the problem says. What this leaves out: whoever has not signed in, who is sent to do
so (`mstar_web.auth`), and the sign-in at a provider (`oidc`).
"""

import json

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mstar_coordinator.api.pages.rendering import page
from mstar_web.auth import is_navigation

PROBLEM = "application/problem+json"
KEPT = frozenset({b"retry-after", b"www-authenticate", b"x-request-id", b"allow"})
"""Headers of the problem that the page has as well."""


class FailedPages:
    """Middleware around all others, so that it sees what each of them refuses."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_navigation(scope):
            await self.app(scope, receive, send)
            return
        begun: Message | None = None
        body = b""

        async def shown(message: Message) -> None:
            nonlocal begun, body
            if message["type"] == "http.response.start" and _is_problem(message):
                begun = message
            elif begun is None:
                await send(message)
            elif message["type"] == "http.response.body":
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    await _answer(begun, body)(scope, receive, send)

        await self.app(scope, receive, shown)


def _is_problem(start: Message) -> bool:
    return Headers(raw=start["headers"]).get("content-type", "") == PROBLEM


def _answer(start: Message, body: bytes) -> ASGIApp:
    problem = json.loads(body)
    said = str(problem["detail"]).rstrip(".")
    response = page("failed.html.j2", title=problem["title"], status=start["status"], said=said)
    response.status_code = start["status"]
    response.raw_headers += [(name, value) for name, value in start["headers"] if name.lower() in KEPT]
    return response
