"""`/v1/session`: sign in with a key, show the caller, sign out; `/v1/sessions`: list and end sessions."""

import math
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field
from starlette.datastructures import Headers

from mstar.api.keys import Principal
from mstar.api.runs import Page
from mstar.api.sessions import EndedSessions, EndSessions, OpenSession
from mstar.errors import Unauthenticated
from mstar.types import Frozen
from mstar_coordinator.access.audit import ABOUT
from mstar_coordinator.api.routes.context import Caller, Coordinator, Limit, paged
from mstar_web.bodies import JsonRoute
from mstar_web.sessions import came_by_https, clear_cookies, session_token, set_cookies

SESSION_PATH = "/v1/session"
SIGN_IN_PATH = "/v1/session/sign-in"
SESSIONS_PATH = "/v1/sessions"
SessionId = Annotated[str | None, Query(max_length=40, description="`last_id` of the page before.")]
Name = Annotated[str | None, Query(max_length=100, description="Only sessions of this name.")]

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


@router.get(SESSIONS_PATH, responses={404: {"description": "No session that `after` names is open."}})
def list_sessions(
    coordinator: Coordinator, caller: Caller, limit: Limit = 100, after: SessionId = None, name: Name = None
) -> Page[OpenSession]:
    """Who is signed in to the caller's project, the newest first; an operator sees all projects'."""
    found = coordinator.door.sessions.page(caller, name, after, limit + 1)
    return paged(found, limit, [one.id for one in found])


@router.post(f"{SESSIONS_PATH}/end", responses={404: {"description": "Nobody of this name is signed in."}})
def end_sessions(coordinator: Coordinator, caller: Caller, http: Request, request: EndSessions) -> EndedSessions:
    """End all sessions of a name, at once. Who has a key, or whom the provider lets in, may sign in again."""
    http.scope[ABOUT] = request.name
    return EndedSessions(ended=coordinator.door.sessions.end_of(request.name, caller))


@router.post(f"{SESSIONS_PATH}/{{session_id}}/end", responses={404: {"description": "No such session is open."}})
def end_session(coordinator: Coordinator, caller: Caller, http: Request, session_id: str) -> OpenSession:
    """End one session, at once."""
    ended = coordinator.door.sessions.end_one(session_id, caller)
    # Its id says nothing to anybody once it is gone.
    http.scope[ABOUT] = f"{ended.id} of {ended.name}"
    return ended
