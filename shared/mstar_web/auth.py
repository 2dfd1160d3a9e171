"""Bearer authentication, deny by default.

It is a middleware rather than a dependency of routes, so that a route added later, a mounted app or the documentation
pages cannot be forgotten: only the paths that are listed as open answer without the key.
"""

import hmac

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from mstar.errors import Unauthenticated

HEALTH_PATHS = frozenset({"/livez", "/readyz"})


class BearerAuth:
    """Raises Unauthenticated (401) for a request without the key, in constant time."""

    def __init__(self, app: ASGIApp, api_key: SecretStr | None, open_paths: frozenset[str] = HEALTH_PATHS) -> None:
        self.app = app
        self.expected = None if api_key is None else api_key.get_secret_value().encode()
        self.open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and self.expected is not None and scope["path"] not in self.open_paths:
            self._require(Headers(scope=scope), self.expected)
        await self.app(scope, receive, send)

    def _require(self, headers: Headers, expected: bytes) -> None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(key.strip().encode(), expected):
            raise Unauthenticated("send the service's key as `Authorization: Bearer <key>`")
