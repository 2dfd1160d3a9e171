"""`/v1/session`: sign in with a key, see who one is, sign out."""

import math
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field
from starlette.datastructures import Headers

from mstar.api.keys import Principal
from mstar.errors import Unauthenticated
from mstar.types import Frozen
from mstar_coordinator.api.routes.context import Caller, Coordinator
from mstar_web.bodies import JsonRoute
from mstar_web.sessions import came_by_https, clear_cookies, session_token, set_cookies

SESSION_PATH = "/v1/session"
SIGN_IN_PATH = "/v1/session/sign-in"

router = APIRouter(tags=["session"], route_class=JsonRoute)


class SignInRequest(Frozen):
    """`POST /v1/session/sign-in`."""

    key: str = Field(min_length=1, max_length=1000)
    """A key of the coordinator. The browser keeps a cookie instead of it."""


def _token(http: Request) -> str | None:
    return session_token(Headers(scope=http.scope))


@router.post(SIGN_IN_PATH)
async def sign_in(coordinator: Coordinator, http: Request, response: Response, request: SignInRequest) -> Principal:
    """Begin a session: the answer sets a cookie that scripts can't read, and one with the CSRF token of changes."""
    begun = await coordinator.door.sessions.begin(request.key.strip())
    if begun is None:
        raise Unauthenticated("this key opens nothing here: it may be mistyped, expired or revoked", field="key")
    token, principal = begun
    # For the log and the audit: the path is open, so nobody was known before.
    http.scope["mstar.principal"] = principal
    # Over plain http a browser drops a cookie that is `Secure`, and nobody could sign in.
    secure = came_by_https(Headers(scope=http.scope), http.scope["scheme"])
    set_cookies(response, token, math.floor(coordinator.door.sessions.seconds), secure=secure)
    response.headers["Cache-Control"] = "no-store"
    return principal


@router.get(SESSION_PATH)
async def get_session(caller: Caller) -> Principal:
    """Who one is, by key or by session."""
    return caller


@router.post("/v1/session/sign-out")
async def sign_out(
    coordinator: Coordinator, token: Annotated[str | None, Depends(_token)], response: Response, caller: Caller
) -> Principal:
    """End the session that the cookie is for."""
    if token is not None:
        await run_in_threadpool(coordinator.door.sessions.end, token)
    clear_cookies(response)
    return caller
