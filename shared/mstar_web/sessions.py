"""Sessions of people in browsers: a cookie that scripts can't read, and a token that every change must show.

The cookie alone allows reading. A change must bring the CSRF token in a header as well: pages of this service read it
from a second cookie, which no other origin can ("signed double submit", OWASP's cheat sheet on CSRF). The token is
derived from the session's secret, so nothing more needs to be stored. What this leaves out: where sessions are kept.
"""

import hashlib
import hmac
from typing import Protocol

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response

from mstar.api.keys import Principal
from mstar.errors import Forbidden

COOKIE = "mstar_session"
CSRF_COOKIE = "mstar_csrf"
CSRF_HEADER = "X-CSRF-Token"


class Sessions(Protocol):
    """Knows who is signed in."""

    async def of(self, token: str) -> Principal | None:
        """Whose session it is; None when it has ended. Raises Unavailable when that can't be told."""


def session_token(headers: Headers) -> str | None:
    """The session's secret that a request brings, or None."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE) or None


def csrf_token(token: str) -> str:
    """The token that changes in this session must show: 64 hexadecimal digits."""
    return hmac.new(token.encode(), b"mstar csrf", hashlib.sha256).hexdigest()


def check_csrf(token: str, headers: Headers) -> None:
    """Raises Forbidden when a change does not bring the session's token."""
    given = headers.get(CSRF_HEADER, "")
    # In constant time, since the token is a secret of the session.
    if not hmac.compare_digest(given.encode(), csrf_token(token).encode()):
        raise Forbidden(
            f"send the cookie {CSRF_COOKIE} back as the header {CSRF_HEADER}: reload the page", field=CSRF_HEADER
        )


def set_cookies(response: Response, token: str, seconds: int, *, secure: bool) -> None:
    """Begin a session in the browser that gets this response. `secure`: it came by HTTPS."""
    response.set_cookie(COOKIE, token, max_age=seconds, path="/", secure=secure, httponly=True, samesite="strict")
    # Read by the pages' own script, so not HttpOnly; worth nothing without the session's cookie.
    response.set_cookie(
        CSRF_COOKIE, csrf_token(token), max_age=seconds, path="/", secure=secure, httponly=False, samesite="strict"
    )


def clear_cookies(response: Response) -> None:
    """End the session in the browser that gets this response."""
    for name in (COOKIE, CSRF_COOKIE):
        response.delete_cookie(name, path="/", httponly=name == COOKIE, samesite="strict")


def came_by_https(headers: Headers, scheme: str) -> bool:
    """Whether a browser sent this by HTTPS, perhaps to a proxy before the service: it says so in Origin."""
    return scheme == "https" or headers.get("origin", "").startswith("https://")
