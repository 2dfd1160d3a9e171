"""Who sends a request, and whether a key of that role may: deny by default.

It is a middleware rather than a dependency of routes, so that a route added later, a mounted app or the documentation
pages cannot be forgotten: only the paths that are listed as open answer without a key, and a path that no access rule
names is for every role but metrics. A key comes as `Authorization: Bearer`, or as a session that a browser got for it.

Bootstrap keys come from settings, one a role. All others come from a keyring. A service that has no bootstrap key
listens on loopback only and asks for none; a key that is sent there all the same counts.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mstar.api.keys import Principal, Role
from mstar.errors import Forbidden, Unauthenticated
from mstar_web.bodies import SAFE_METHODS
from mstar_web.keyring import Keyring
from mstar_web.sessions import Sessions, check_csrf, session_token

HEALTH_PATHS = frozenset({"/livez", "/readyz"})
ANY_ROLE = frozenset(Role) - {Role.METRICS}
"""The role metrics is for a scraper that should be able to do nothing else."""
ANYONE = Principal(name="anyone", roles=frozenset(Role), operator=True)
"""Who reaches a service that asks for no key."""
NOBODY = Principal(name="nobody", roles=frozenset())
"""Who asks for a path that is open to everyone."""
MAX_ECHO = 64


@dataclass(frozen=True)
class AccessRule:
    """Paths with a common beginning, and the roles whose keys may use them."""

    prefix: str
    roles: frozenset[Role]
    methods: frozenset[str] | None = None
    """HTTP methods that the rule is about; None for all."""


@dataclass(frozen=True)
class SignIn:
    """How browsers are let in: without a session they are sent to a page."""

    sessions: Sessions
    page: str
    open_prefixes: tuple[str, ...] = ()
    """Beginnings of paths that the page needs before anybody has signed in."""


def allow(prefix: str, *roles: str, methods: Sequence[str] | None = None) -> AccessRule:
    """An access rule in one line."""
    return AccessRule(prefix, frozenset(map(Role, roles)), None if methods is None else frozenset(methods))


def principal_of(scope: Scope) -> Principal:
    """Who sends a request; nobody where the path is open."""
    principal = scope.get("mstar.principal", NOBODY)
    assert isinstance(principal, Principal)
    return principal


def caller_of(scope: Scope) -> str:
    """Who sends a request, for turns and quotas: the key, and for bootstrap keys the address of the other end too."""
    principal = principal_of(scope)
    peer = scope.get("client") or ("", 0)
    return principal.id or f"{principal.name}@{peer[0]}"


def bootstrap_principals(keys: Mapping[str, str]) -> dict[bytes, Principal]:
    """Key → who it stands for; a key that settings name for several roles has them all."""
    roles: dict[bytes, set[Role]] = {}
    for role, key in keys.items():
        roles.setdefault(key.encode(), set()).add(Role(role))
    return {
        key: Principal(name=f"bootstrap {'+'.join(sorted(own))}", roles=frozenset(own), operator=Role.RUN_ADMIN in own)
        for key, own in roles.items()
    }


METRICS_RULE = allow("/metrics", Role.METRICS, Role.INTERNAL, Role.RUN_ADMIN)


class BearerAuth:
    """Raises Unauthenticated (401) for a request without a known key, Forbidden (403) for a key of another role."""

    def __init__(
        self,
        app: ASGIApp,
        keys: Mapping[str, str],
        rules: Sequence[AccessRule] = (),
        keyring: Keyring | None = None,
        sign_in: SignIn | None = None,
    ) -> None:
        """`keys`: role → bootstrap key; with none, nothing is asked. The first rule that fits a request decides."""
        self.app = app
        self._bootstrap = bootstrap_principals(keys)
        self._rules = (METRICS_RULE, *rules)
        self._keyring = keyring
        self._sign_in = sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_open(scope["path"]):
            await self.app(scope, receive, send)
            return
        try:
            principal = await self._principal(scope)
        except Unauthenticated:
            if self._sign_in is None or not is_navigation(scope):
                raise
            # Only the path that was asked for, never a host, so that nobody is led elsewhere.
            asked = quote(scope["path"] + (f"?{query}" if (query := scope["query_string"].decode("latin-1")) else ""))
            ended = "&ended=true" if session_token(Headers(scope=scope)) else ""
            page = f"{self._sign_in.page}?next={asked}{ended}"
            response = RedirectResponse(page, 303, {"Cache-Control": "no-store"})
            await response(scope, receive, send)
            return
        # Also for a refusal, which logs show with its name.
        scope["mstar.principal"] = principal
        # The path as the server parsed it, never one rebuilt from the Host header (CVE-2026-48710).
        wanted = self._wanted(scope.get("method", ""), scope["path"])
        if not principal.roles & wanted:
            path = scope["path"][:MAX_ECHO]
            raise Forbidden(f"this key may not use {path}: use a key of the role {' or '.join(sorted(wanted))}")
        await self.app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        if path in HEALTH_PATHS:
            return True
        return self._sign_in is not None and (
            path == self._sign_in.page or path.startswith(self._sign_in.open_prefixes)
        )

    async def _principal(self, scope: Scope) -> Principal:
        """Raises Unauthenticated, Forbidden for a change without its CSRF token, and Unavailable."""
        headers = Headers(scope=scope)
        given = headers.getlist("authorization")
        # A key that was sent decides, also a wrong one: a session of the same browser must not make up for it.
        if given or self._sign_in is None:
            return await self._bearer(given)
        token = session_token(headers)
        found = None if token is None else await self._sign_in.sessions.of(token)
        if token is None or found is None:
            if token is not None and self._bootstrap:
                raise Unauthenticated(f"this session has ended: sign in again at {self._sign_in.page}")
            return self._nobody()
        if scope.get("method", "") not in SAFE_METHODS:
            check_csrf(token, headers)
        return found

    async def _bearer(self, given: Sequence[str]) -> Principal:
        # Of two headers a proxy might have read the other one.
        key = _key(given[0]) if len(given) == 1 else ""
        # All are compared, also after one has matched: the time tells nothing about which one, or how far.
        matching = [one for own, one in self._bootstrap.items() if hmac.compare_digest(key.encode(), own)]
        if key and matching:
            return matching[0]
        found = None if self._keyring is None or not key else await self._keyring.find(key)
        return found or self._nobody()

    def _nobody(self) -> Principal:
        if self._bootstrap:
            raise Unauthenticated("send a key of this service as `Authorization: Bearer <key>`")
        return ANYONE

    def _wanted(self, method: str, path: str) -> frozenset[Role]:
        for one in self._rules:
            if path.startswith(one.prefix) and (one.methods is None or method in one.methods):
                return one.roles
        return ANY_ROLE


def _key(authorization: str) -> str:
    """The key of a bearer token (RFC 6750)."""
    scheme, _, rest = authorization.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


def is_navigation(scope: Scope) -> bool:
    """Whether a person's browser asks for a page, so that a page is a better answer than a problem."""
    if scope.get("method") != "GET" or scope["path"].startswith(("/v1/", "/internal/")):
        return False
    return "text/html" in Headers(scope=scope).get("accept", "")
