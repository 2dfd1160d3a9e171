"""Sign-in at an OpenID Connect provider: authorization code with PKCE, state and nonce (RFC 6749, RFC 7636).

Authlib speaks the protocol; imported only where a provider is set. The provider, and the address that it sends people
back to, come from settings, never from a request. What this leaves out: what the claims open (`oidc_claims`), and the
session that follows (`sessions`).
"""

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Any

import httpx2
import structlog
from authlib.integrations.starlette_client import OAuth, OAuthError
from itsdangerous import BadData, URLSafeTimedSerializer
from joserfc.errors import BadSignatureError, ClaimError, JoseError

from mstar.errors import InvalidInput, Unavailable

BEGUN_SECONDS = 600
"""How long a person may take at the provider."""
ANSWER_SECONDS = 10.0
RETRY_SECONDS = 5.0
SIGNED_BY = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""Signatures of an id token that only the provider can make; never `none`, never one of a shared secret."""
CLOCK_SECONDS = 120
"""By how much the provider's clock may differ."""
_TIMES = frozenset({"exp", "iat", "nbf"})
AGAIN = "begin again at the sign-in page"

_log = structlog.get_logger(__name__)


class Provider:
    """One provider, for one event loop."""

    def __init__(self, issuer: str, client_id: str, client_secret: str, redirect_uri: str, scope: str) -> None:
        """`redirect_uri`: of this service, as it is registered at the provider."""
        self._issuer, self._client_id, self._redirect_uri = issuer, client_id, redirect_uri
        self._asking, self._resting_until = asyncio.Lock(), 0.0
        # Of this process: who was at the provider during a restart begins again.
        self._sealer = URLSafeTimedSerializer(secrets.token_bytes(32), "mstar sign-in")
        self._app = OAuth().register(
            "oidc",
            client_id=client_id,
            client_secret=client_secret,
            server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={"scope": scope, "code_challenge_method": "S256", "timeout": ANSWER_SECONDS},
        )

    async def begin(self, next_page: str) -> tuple[str, str]:
        """Where to send the browser, and what to leave in a cookie of it meanwhile.

        Raises Unavailable when the provider does not answer, or not as the one that was set.
        """
        await self._check()
        begun = await self._app.create_authorization_url(self._redirect_uri)
        kept = {name: begun[name] for name in ("state", "nonce", "code_verifier")}
        return begun["url"], self._seal(kept | {"next": next_page})

    async def finish(self, cookie: str, state: str, code: str) -> tuple[Mapping[str, Any], str]:
        """The claims of who comes back, and the page that was asked for.

        Raises InvalidInput for an answer that is not to what this browser began, or that the provider does not stand
        by, and Unavailable when the provider does not answer.
        """
        begun = self._begun(cookie)
        if not state or not secrets.compare_digest(state.encode(), begun["state"].encode()):
            raise InvalidInput(f"this answer belongs to another sign-in: {AGAIN}", field="state")
        await self._check()
        try:
            token = await self._app.fetch_access_token(
                self._redirect_uri, code=code, code_verifier=begun["code_verifier"], grant_type="authorization_code"
            )
            claims = await self._claims(token, begun["nonce"])
        except OAuthError as error:
            _log.warning("sign-in refused by the provider", error=str(error.error)[:60])
            raise InvalidInput(f"the provider no longer accepts this code: {AGAIN}", field="code") from error
        except (JoseError, ValueError) as error:
            claim = error.claim if isinstance(error, ClaimError) else None
            _log.warning("id token refused", error=type(error).__name__, claim=claim)
            raise InvalidInput(_refusal(claim), field="id_token") from error
        except httpx2.HTTPError as error:
            raise _away(error) from error
        if claims is None:
            raise InvalidInput(f"the provider sent no id token: {AGAIN}", field="id_token")
        return claims, begun["next"]

    async def _claims(self, token: Mapping[str, Any], nonce: str) -> Mapping[str, Any] | None:
        """What an id token says, once its signature is the provider's; None where there is no token."""
        try:
            found = await self._app.parse_id_token(token, nonce, self._wanted(), leeway=CLOCK_SECONDS)
        except BadSignatureError:
            # A key that is replaced under its old name, or that has none. Keys of new names are read by Authlib.
            await self._app.fetch_jwk_set(force=True)
            found = await self._app.parse_id_token(token, nonce, self._wanted(), leeway=CLOCK_SECONDS)
        claims: Mapping[str, Any] | None = found
        return claims

    def _wanted(self) -> dict[str, Any]:
        """What an id token must say (OpenID Connect Core, section 3.1.3.7); Authlib by itself asks less of `aud`."""
        return {
            "iss": {"essential": True, "value": self._app.server_metadata["issuer"]},
            "aud": {"essential": True, "value": self._client_id},
        }

    async def _check(self) -> None:
        """Have the provider's metadata. Raises Unavailable."""
        # One question at a time, and a pause after one that failed: anybody may ask for this page.
        async with self._asking:
            if time.monotonic() < self._resting_until:
                raise _away(None)
            try:
                found = await self._app.load_server_metadata()
            except (httpx2.HTTPError, ValueError) as error:
                self._resting_until = time.monotonic() + RETRY_SECONDS
                raise _away(error) from error
        if str(found.get("issuer", "")).rstrip("/") != self._issuer.rstrip("/"):
            # Another provider's tokens would pass for this one's.
            found.clear()
            raise Unavailable("the provider's issuer differs from MSTAR_COORDINATOR_OIDC_ISSUER: correct that setting")
        supported = found.get("id_token_signing_alg_values_supported") or ["RS256"]
        found["id_token_signing_alg_values_supported"] = sorted(SIGNED_BY & set(supported))

    def _seal(self, begun: Mapping[str, str]) -> str:
        return str(self._sealer.dumps(begun))

    def _begun(self, cookie: str) -> dict[str, str]:
        try:
            found: dict[str, str] = self._sealer.loads(cookie, max_age=BEGUN_SECONDS)
        except BadData as error:
            detail = f"this browser has begun no sign-in in the last {BEGUN_SECONDS // 60} minutes: {AGAIN}"
            raise InvalidInput(detail, field="state") from error
        return found


def _refusal(claim: str | None) -> str:
    if claim in _TIMES:
        return (
            f"the provider's answer is of another time: its clock and this service's differ by more than "
            f"{CLOCK_SECONDS // 60} minutes, or the sign-in took too long: {AGAIN}, and have the clocks set right"
        )
    return f"the provider's answer is not for this sign-in: {AGAIN}"


def _away(error: Exception | None) -> Unavailable:
    if error is not None:
        _log.warning("the provider does not answer", error=type(error).__name__)
    return Unavailable(
        "the sign-in provider does not answer: try again in a moment, or sign in with a key", retry_after=RETRY_SECONDS
    )
