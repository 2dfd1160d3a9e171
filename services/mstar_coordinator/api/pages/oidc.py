"""`/sign-in/oidc`: to the provider and back. What goes wrong on the way is a page that says it in one sentence."""

import math
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from mstar.api.keys import Role
from mstar.errors import InvalidInput, MstarError
from mstar_coordinator.access.oidc import BEGUN_SECONDS, Provider
from mstar_coordinator.access.sessions import StoredSessions
from mstar_coordinator.api.pages import scoring
from mstar_coordinator.api.pages.rendering import page
from mstar_coordinator.api.pages.sign_in import local_page
from mstar_coordinator.oidc_claims import ClaimRules
from mstar_web.sessions import set_cookies

OIDC_PATH = "/sign-in/oidc"
RETURN_PATH = "/sign-in/oidc/return"
BEGUN_COOKIE = "mstar_sign_in"
SEES_RUNS = frozenset({Role.READ, Role.RUN_ADMIN})
"""Who has neither scores only, and goes to the page for that."""

Text = Annotated[str, Query(max_length=4000)]


def oidc_router(provider: Provider, rules: ClaimRules, sessions: StoredSessions, *, secure: bool) -> APIRouter:
    """Both routes. `secure`: people reach this service by HTTPS."""
    router = APIRouter(include_in_schema=False)

    @router.get(OIDC_PATH)
    async def begin(next_page: Annotated[str, Query(alias="next", max_length=2000)] = "") -> Response:
        try:
            url, kept = await provider.begin(local_page(next_page))
        except MstarError as error:
            return _failed(error)
        response = RedirectResponse(url, 303, {"Cache-Control": "no-store"})
        # Lax, since the provider's page leads back here; only this path gets it.
        response.set_cookie(
            BEGUN_COOKIE, kept, BEGUN_SECONDS, path=OIDC_PATH, secure=secure, httponly=True, samesite="lax"
        )
        return response

    @router.get(RETURN_PATH)
    async def finish(http: Request, state: Text = "", code: Text = "", error: Text = "") -> Response:
        try:
            if error or not code:
                # What stands in the address may be anybody's words, so none of it is shown.
                raise InvalidInput("the provider did not let you in: begin again at the sign-in page", field="error")
            claims, target = await provider.finish(http.cookies.get(BEGUN_COOKIE, ""), state, code)
            principal = rules.principal(claims)
            token = await sessions.begin_for(principal)
        except MstarError as failure:
            response = _failed(failure)
        else:
            # For the log: the path is open, so nobody was known before.
            http.scope["mstar.principal"] = principal
            # A page and no redirect: a browser that comes from the provider sends no strict cookie along a redirect.
            response = page(
                "signed_in.html.j2", next=local_page(target) if principal.roles & SEES_RUNS else scoring.PAGE
            )
            set_cookies(response, token, math.floor(sessions.seconds), secure=secure)
        response.delete_cookie(BEGUN_COOKIE, path=OIDC_PATH, secure=secure, httponly=True, samesite="lax")
        return response

    return router


def _failed(error: MstarError) -> Response:
    response = page("sign_in_failed.html.j2", said=error.detail)
    response.status_code = error.status
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(math.ceil(error.retry_after))
    return response
