"""The base of every service's app: errors as problems, request ids, authentication, limits, health, metrics, docs.

A request passes, from outside in: metrics, trace, request id and log line, checks against web pages, authentication,
limits of the key, the size that its body may have, admission. Only then is a byte of its body read.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from threading import Event
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.security import HTTPBearer
from prometheus_client import CollectorRegistry, Gauge
from starlette.responses import Response
from starlette.types import ASGIApp

from mstar.errors import Unavailable
from mstar_web.admission import Admission
from mstar_web.auth import AccessRule, BearerAuth, SignIn
from mstar_web.bodies import BodyBound, JsonRoute
from mstar_web.browsers import BrowserGuard
from mstar_web.config import ServiceSettings
from mstar_web.docs import add_docs
from mstar_web.head import HeadAsGet
from mstar_web.headers import SecurityHeaders
from mstar_web.keyring import Keyring
from mstar_web.limits import BodyLimit
from mstar_web.metrics import HttpMetrics, exposition, new_registry
from mstar_web.openapi import document_problems, operation_ids, serve_document
from mstar_web.problems import install_handlers
from mstar_web.quotas import KeyLimits
from mstar_web.requests import RequestContext
from mstar_web.spans import ServerSpans

RETRY_AFTER_SECONDS = 2.0


def base_app(
    title: str,
    version: str,
    settings: ServiceSettings,
    not_ready: Callable[[], str | None],
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
    registry: CollectorRegistry | None = None,
    rules: Sequence[AccessRule] = (),
    problem: Callable[[], str | None] = lambda: None,
    bounds: Mapping[str, BodyBound] | None = None,
    keyring: Keyring | None = None,
    sign_in: SignIn | None = None,
    check: Callable[[Request], Awaitable[None]] | None = None,
    audit: Callable[[ASGIApp], ASGIApp] | None = None,
    uploads: Collection[str] = (),
    room: Callable[[str, str], None] = lambda path, caller: None,
) -> FastAPI:
    """An app that a service adds its routers to.

    `not_ready` says why the service cannot do its work now, or None when it can. `rules` say which roles' keys may
    use which paths. Metrics go into `registry`, which /metrics shows. `problem` says what does not work though the
    service is ready. `bounds` say what bodies may be, for paths with a beginning whose bodies are larger than usual.
    `keyring` knows the keys that no setting names, and is closed at the end. `sign_in` lets browsers in.
    `audit` stands around authentication and sees what is answered. `check` may refuse any request that has found its
    route. `uploads` are paths that take a form with a file instead of JSON. `room` raises TooManyRequests where what is
    behind a path can take no more of a caller, before a body is read.
    """
    metrics = new_registry() if registry is None else registry
    # The middleware decides; this dependency only puts the scheme into the OpenAPI document.
    documented = [Depends(HTTPBearer(auto_error=False))] if settings.keys() else []
    app = FastAPI(
        title=title,
        version=version,
        lifespan=_closing(keyring, lifespan),
        dependencies=documented,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # A redirect would repeat the host name that the caller sent.
        redirect_slashes=False,
        generate_unique_id_function=operation_ids(),
    )
    app.router.route_class = JsonRoute
    if check is not None:
        app.router.dependencies.append(Depends(check))
    # Of threading and not of asyncio, since a signal handler sets it.
    app.state.stopping = Event()
    install_handlers(app)
    document_problems(app)
    # Each one added stands around those before it.
    app.add_middleware(Admission, room=room)
    app.add_middleware(BodyLimit, bounds=bounds or {})
    app.add_middleware(KeyLimits)
    app.add_middleware(BearerAuth, keys=settings.keys(), rules=rules, keyring=keyring, sign_in=sign_in)
    if audit is not None:
        app.add_middleware(audit)
    any_host = bool(settings.keys()) and not settings.hosts()
    app.add_middleware(BrowserGuard, hosts=settings.hosts(), any_host=any_host, uploads=uploads)
    app.add_middleware(HeadAsGet)
    app.add_middleware(RequestContext)
    app.add_middleware(ServerSpans)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(HttpMetrics, registry=metrics)
    serve_document(app)
    add_docs(app)
    _add_health(app, not_ready, problem, metrics)
    return app


def _closing(
    keyring: Keyring | None, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """The lifespan, after which the keyring is closed."""

    @asynccontextmanager
    async def whole(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with nullcontext() if lifespan is None else lifespan(app):
                yield
        finally:
            if keyring is not None:
                await keyring.close()

    return whole


def _add_health(
    app: FastAPI,
    not_ready: Callable[[], str | None],
    problem: Callable[[], str | None],
    registry: CollectorRegistry,
) -> None:
    can_work = Gauge("mstar_ready", "1 while the service can do its work.", registry=registry)
    can_work.set_function(lambda: float(not_ready() is None))

    @app.get("/livez", tags=["health"])
    async def live() -> dict[str, Any]:
        """200 as long as the event loop turns."""
        return {"status": "live"}

    @app.get("/readyz", tags=["health"])
    async def ready() -> dict[str, Any]:
        """200 when the service can do its work, with what else does not work; 503 with the reason when it cannot."""
        reason = not_ready()
        if reason is not None:
            raise Unavailable(reason, retry_after=RETRY_AFTER_SECONDS)
        degraded = problem()
        return {"status": "ready"} if degraded is None else {"status": "ready", "problem": degraded}

    @app.get("/metrics", tags=["health"], response_class=Response)
    def metrics() -> Response:
        """Prometheus text format. In a thread, since a metric may be read from a database."""
        return exposition(registry)
