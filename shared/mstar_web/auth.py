"""Bearer authentication with one key a role, deny by default.

It is a middleware rather than a dependency of routes, so that a route added later, a mounted app or the documentation
pages cannot be forgotten: only the paths that are listed as open answer without a key, and a path that no access rule
names is for every role of the service. What this leaves out: rotation of keys, and limits per key (`admission`).
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mstar.errors import Forbidden, Unauthenticated

HEALTH_PATHS = frozenset({"/livez", "/readyz"})
METRICS_PATH, METRICS_ROLE = "/metrics", "metrics"
"""A role for this path only, for a scraper that should be able to do nothing else."""
MAX_ECHO = 64


@dataclass(frozen=True)
class AccessRule:
    """Paths with a common beginning, and the roles whose keys may use them."""

    prefix: str
    roles: frozenset[str]
    methods: frozenset[str] | None = None
    """HTTP methods that the rule is about; None for all."""


def caller_of(scope: Scope) -> str:
    """Who sends a request, for turns and quotas: the role of the key, and the address of the other end."""
    peer = scope.get("client") or ("", 0)
    return f"{scope.get('mstar.roles', '')}@{peer[0]}"


def allow(prefix: str, *roles: str, methods: Sequence[str] | None = None) -> AccessRule:
    """An access rule in one line."""
    return AccessRule(prefix, frozenset(roles), None if methods is None else frozenset(methods))


class BearerAuth:
    """Raises Unauthenticated (401) for a request without a known key, Forbidden (403) for a key of another role."""

    def __init__(
        self,
        app: ASGIApp,
        keys: Mapping[str, str],
        rules: Sequence[AccessRule] = (),
        open_paths: frozenset[str] = HEALTH_PATHS,
    ) -> None:
        """`keys`: role → key; with none, nothing is asked. The first rule that fits a request decides."""
        self.app = app
        self.keys = {role: key.encode() for role, key in keys.items()}
        self.rules = rules
        self.open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and self.keys and scope["path"] not in self.open_paths:
            # The path as the server parsed it, never one rebuilt from the Host header (CVE-2026-48710).
            roles = self._roles(Headers(scope=scope))
            wanted = self._wanted(scope.get("method", ""), scope["path"])
            if not roles & wanted:
                path = scope["path"][:MAX_ECHO]
                raise Forbidden(f"this key may not use {path}: use the key of {' or '.join(sorted(wanted))}")
            scope["mstar.roles"] = "+".join(sorted(roles))
        await self.app(scope, receive, send)

    def _roles(self, headers: Headers) -> frozenset[str]:
        """Roles whose key the request has; every key is compared, in constant time."""
        given = _key(headers.get("authorization", ""))
        # All are compared, also after one has matched: the time tells nothing about which one, or how far.
        matching = [role for role, expected in self.keys.items() if hmac.compare_digest(given, expected)]
        if not given or not matching:
            raise Unauthenticated("send a key of the service as `Authorization: Bearer <key>`")
        return frozenset(matching)

    def _wanted(self, method: str, path: str) -> frozenset[str]:
        for one in self.rules:
            if path.startswith(one.prefix) and (one.methods is None or method in one.methods):
                return one.roles
        return frozenset(self.keys) - (frozenset() if path == METRICS_PATH else {METRICS_ROLE})


def _key(authorization: str) -> bytes:
    """The key of a bearer token (RFC 6750), or the password of Basic authentication (RFC 7617), which browsers ask for.

    A page of another origin gains nothing by a password that the browser adds: `BrowserGuard` stands before this.
    """
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip().encode()
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return b""
