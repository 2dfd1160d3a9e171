"""What keeps a web page from using a service through the browser of someone who may use it.

A service on a laptop has no keys: it listens on loopback and trusts whoever reaches it. A browser reaches it too, and
runs pages of strangers. Three checks keep these out:

- `Host` must be a name of this service. A page that lets its own name resolve to 127.0.0.1 (DNS rebinding) still sends
  that name.
- `Origin`, which browsers add to what pages send, must be the service itself.
- A change must declare its body as JSON, also when it has none: a page cannot do that for another origin without asking
  first, and no service answers such a question (Fetch standard, section 4.9, "CORS-preflight fetch"). An upload, which
  is a form with a file, must carry the header `Authorization` instead, for the same reason: any value will do where a
  service asks for no key.
"""

import ipaddress
import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from mstar.errors import Forbidden, MisdirectedRequest, UnsupportedMediaType
from mstar_web.bodies import SAFE_METHODS

FORM = "multipart/form-data"
LOOPBACK_NAMES = frozenset({"localhost", "localhost."})

_AUTHORITY = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?(?P<name>[^\";\s]*)", re.IGNORECASE)
_JSON = re.compile(r"application/([a-z0-9.+-]+\+)?json", re.IGNORECASE)


class BrowserGuard:
    """Raises MisdirectedRequest (421), Forbidden (403) or UnsupportedMediaType (415)."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], any_host: bool, uploads: Collection[str] = ()) -> None:
        """`uploads`: paths that take a form with a file.

        `hosts`: names besides loopback's, `*.example.org` for all below one.

        `any_host`: take every name. That is for services with keys, which no page has.
        """
        self.app = app
        self._hosts = {host.lower() for host in hosts}
        self._any_host = any_host
        self._uploads = frozenset(uploads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            self._check_host(headers.getlist("host"))
            self._check_origin(headers)
            if scope["method"] not in SAFE_METHODS:
                self._check_content_type(scope, headers)
        await self.app(scope, receive, send)

    def _check_host(self, given: list[str]) -> None:
        name = _name(given[0]) if len(given) == 1 else None
        if name is None or not (self._any_host or self._known(name)):
            shown = given[0][:64] if given else ""
            raise MisdirectedRequest(
                f"this service does not answer to the host {shown!r}: use localhost, or have its operator add the name "
                "to ALLOWED_HOSTS"
            )

    def _known(self, name: str) -> bool:
        # A star stands for one label, as in certificates (RFC 6125, section 6.4.3).
        parent = name.partition(".")[2]
        return _is_loopback(name) or name in self._hosts or f"*.{parent}" in self._hosts

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is None:
            # Old browsers leave Origin out of some requests, and say where they come from in this one.
            foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
            if foreign and headers.get("sec-fetch-mode") != "navigate":
                raise Forbidden("requests of other web pages are not answered")
            return
        scheme, _, authority = origin.partition("://")
        name = _name(authority)
        # A service behind a proxy is its own origin under the name by which it was asked.
        own = authority.lower() == headers.get("host", "").lower()
        # `null`, which sandboxed pages and files send, has no scheme and is refused here.
        if scheme not in ("http", "https") or name is None or not (own or name in self._hosts):
            raise Forbidden("requests of web pages from another origin are not answered")

    def _check_content_type(self, scope: Scope, headers: Headers) -> None:
        # Packed bytes would be called wrong JSON; unpacking them here would let a small body become a huge one.
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise UnsupportedMediaType("send the body as it is, without Content-Encoding", field="Content-Encoding")
        charset = _CHARSET.search(headers.get("content-type", ""))
        if charset is not None and charset["name"].lower() not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMediaType("send the body as UTF-8, which is what JSON is", field="Content-Type")
        given = headers.get("content-type", "").partition(";")[0].strip()
        # Looking for the route takes longer than the rest of these checks, so it comes last.
        if _JSON.fullmatch(given) or not _is_routed(scope):
            return
        if given.lower() != FORM or scope["path"] not in self._uploads:
            raise UnsupportedMediaType("send the header `Content-Type: application/json`, also without a body")
        if "authorization" not in headers:
            raise UnsupportedMediaType("send the header Authorization with a form; any value will do without keys")


def _is_routed(scope: Scope) -> bool:
    """Whether some route takes this method on this path; anything else ends as a 404 or 405 and changes nothing."""
    return any(route.matches(scope)[0] is Match.FULL for route in scope["app"].routes)


def _name(authority: str) -> str | None:
    """The host without its port, lower-case; None for what is not a host."""
    found = _AUTHORITY.fullmatch(authority)
    return None if found is None else found["name"].lower()


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name in LOOPBACK_NAMES
