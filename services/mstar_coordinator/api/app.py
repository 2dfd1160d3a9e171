"""The coordinator's API: `create_app` reads settings and opens what they name, `build_app` joins given parts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CollectorRegistry

from mstar.environment import read_settings
from mstar_artefacts.staging import collect_staging
from mstar_coordinator.access.audit import Audit
from mstar_coordinator.access.door import Door
from mstar_coordinator.access.open_answers import EndsWithItsKey
from mstar_coordinator.api.glances import Glances
from mstar_coordinator.api.metrics import add_metrics
from mstar_coordinator.api.owners import require_own
from mstar_coordinator.api.pages import scoring, sign_in
from mstar_coordinator.api.pages.failed import FailedPages
from mstar_coordinator.api.pages.routes import add_pages
from mstar_coordinator.api.parts import Parts, cluster_of, make_parts, model_trial
from mstar_coordinator.api.recipes import RecipeBook
from mstar_coordinator.api.routes import (
    audit,
    downloads,
    evaluations,
    events,
    iterations,
    keys,
    leases,
    outputs,
    responses,
    runs,
)
from mstar_coordinator.api.routes import batches as batch_routes
from mstar_coordinator.api.routes import files as file_routes
from mstar_coordinator.api.routes import sessions as sessions_routes
from mstar_coordinator.api.routes import studies as study_routes
from mstar_coordinator.api.routes.context import Context
from mstar_coordinator.api.routes.files import FILES_PATH, UPLOAD_BYTES
from mstar_coordinator.api.routes.scoring import RELAYED, scoring_router
from mstar_coordinator.api.routes.sessions import SESSION_PATH, SESSIONS_PATH, SIGN_IN_PATH
from mstar_coordinator.api.run_files import RunFiles
from mstar_coordinator.cluster.interface import Cluster
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.dataset_check import open_looks
from mstar_coordinator.dataset_source import collect_imports
from mstar_coordinator.scheduler.celery_publisher import CeleryPublisher
from mstar_coordinator.scheduler.data_admission import DataAdmission
from mstar_coordinator.scheduler.ports import Clock, Publisher
from mstar_coordinator.scheduler.removal import Removal
from mstar_coordinator.store.database import Store, open_store
from mstar_web.app import base_app
from mstar_web.auth import ANY_ROLE, SignIn, allow
from mstar_web.bodies import BodyBound
from mstar_web.metrics import new_registry

log = structlog.get_logger(__name__)
API_VERSION = "1"
DAY = 86_400.0
OPEN_PREFIXES = ("/files/", SIGN_IN_PATH, "/sign-in/oidc")
"""What signing in needs: style and scripts of the pages, in which nothing is secret, and the route itself."""
# The first rule whose prefix and method fit decides, so narrower paths stand first.
RULES = (
    *(allow(path, "score") for path, _ in RELAYED),
    *(allow(path, "run_admin") for path in ("/v1/keys", "/v1/audit", SESSIONS_PATH)),
    *(allow(path, *ANY_ROLE) for path in ("/docs", "/redoc", "/openapi.json", SESSION_PATH)),
    *(allow(path, "score", "run_admin") for path in (FILES_PATH, "/v1/batches")),
    allow("/internal/", "internal"),
    allow("/v1/", "run_admin", "read", "internal", methods=["GET"]),
    allow("/v1/", "run_admin"),
    allow(scoring.PAGE, "score", "run_admin", "read"),
    # Everything else is a page.
    allow("/", "run_admin", "read"),
)
"""Roles by path. `session` is what every role may ask about: its own."""
UNNOTED = ("/internal/", *(path for path, _ in RELAYED))
"""What is traffic, and not in the audit log."""
BOUNDS = {
    **{path: BodyBound(bytes=32 * 2**20) for path, _ in RELAYED},
    FILES_PATH: BodyBound(bytes=UPLOAD_BYTES),
    "/internal/": BodyBound(bytes=16 * 2**20, values=1_000_000),
}
"""What the PRM takes as well, files for batches, and what workers commit."""


def create_app(settings: CoordinatorSettings | None = None) -> FastAPI:
    """The app as settings say, by default those of the environment.

    Raises Conflict when another coordinator has the database open.
    """
    settings = settings or read_settings(CoordinatorSettings)
    publisher = CeleryPublisher(settings.broker_url.get_secret_value())
    return build_app(settings, open_store(settings.store_url()), publisher, time.monotonic, cluster_of(settings))


def build_app(
    settings: CoordinatorSettings,
    store: Store,
    publisher: Publisher,
    clock: Clock,
    cluster: Cluster | None = None,
) -> FastAPI:
    """The app over an open store, which it closes at its end together with publisher and cluster.

    `clock`: monotonic seconds. `cluster`: where the services take turns on GPUs; they can't overlap there, so training
    does not stream.
    """
    parts = make_parts(settings, store, publisher, clock, cluster)
    registry = new_registry()
    add_metrics(registry, store, parts.lifecycle, parts.reconciler)
    app = _bare_app(settings, parts, registry)
    app.state.context = _context(settings, parts, clock)
    _add_routes(app, settings, parts)
    return app


def _bare_app(settings: CoordinatorSettings, parts: Parts, registry: CollectorRegistry) -> FastAPI:
    """Without routes: who may come in, what is noted of it, and what is started and ended with the app."""
    app = base_app(
        "mstar coordinator",
        API_VERSION,
        settings,
        # Never unready because of the broker: workers that have their step already must be able to commit it.
        lambda: None,
        _lifespan(settings, parts),
        registry,
        RULES,
        lambda: parts.reconciler.problem,
        BOUNDS,
        parts.door.keyring,
        SignIn(parts.door.sessions, sign_in.PAGE, OPEN_PREFIXES),
        require_own,
        partial(Audit, store=parts.store, days=settings.audit_days, unnoted=UNNOTED, wall=parts.store.wall),
        (FILES_PATH,),
    )
    app.add_middleware(FailedPages)
    app.add_middleware(EndsWithItsKey, watched=parts.door.watched)
    return app


def _context(settings: CoordinatorSettings, parts: Parts, clock: Clock) -> Context:
    """What the routes work with."""
    return Context(
        settings=settings,
        store=parts.store,
        artefacts=parts.artefacts,
        folders=parts.folders,
        recipes=RecipeBook(settings.recipes_folder),
        lifecycle=parts.lifecycle,
        repair=parts.repair,
        studies=parts.studies,
        responses=parts.indexes,
        removal=Removal(parts.store, parts.folders, parts.artefacts, parts.indexes.discard),
        files=RunFiles(),
        models=model_trial(settings),
        data=DataAdmission(lambda: open_looks(settings.home), clock, settings.data_check_seconds, settings.home),
        problem=lambda: parts.reconciler.problem,
        door=parts.door,
        glances=Glances(parts.store),
        batches=parts.batches,
        batch_problem=lambda batch: None if parts.runner is None else parts.runner.problem_of(batch),
    )


def _add_routes(app: FastAPI, settings: CoordinatorSettings, parts: Parts) -> None:
    for routes in (
        sessions_routes,
        keys,
        audit,
        runs,
        evaluations,
        study_routes,
        iterations,
        events,
        outputs,
        responses,
        downloads,
        leases,
    ):
        app.include_router(routes.router)
    app.include_router(sign_in.router)
    if settings.oidc_issuer:
        app.include_router(_oidc(settings, parts.door))
    add_pages(app)
    if parts.relay is not None:
        app.include_router(scoring_router(parts.relay))
        app.include_router(file_routes.router)
        app.include_router(batch_routes.router)


def _oidc(settings: CoordinatorSettings, door: Door) -> APIRouter:
    # Here and not above: Authlib costs every start a third of a second.
    from mstar_coordinator.access.oidc import Provider
    from mstar_coordinator.api.pages.oidc import RETURN_PATH, oidc_router

    assert settings.oidc_client_secret is not None
    own = settings.public_url.rstrip("/")
    secret = settings.oidc_client_secret.get_secret_value()
    provider = Provider(settings.oidc_issuer, settings.oidc_client_id, secret, own + RETURN_PATH, settings.oidc_scope)
    return oidc_router(provider, settings.claim_rules(), door.sessions, secure=own.startswith("https://"))


def _lifespan(settings: CoordinatorSettings, parts: Parts) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Starts what has threads or tasks with the app, and at its end closes what the app was given."""
    home, batches = settings.home, parts.runner

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Before our own threads begin to write.
        if left := await run_in_threadpool(collect_staging, home):
            log.info("removed what killed writers left behind", count=len(left), first=left[0].name)
        parts.reconciler.start()
        parts.trackers.start()
        if batches is not None:
            await run_in_threadpool(batches.tidy)
        working = [asyncio.create_task(_collect_daily(home, settings.import_days * DAY))]
        if batches is not None:
            working.append(asyncio.create_task(batches.run()))
        try:
            yield
        finally:
            for task in working:
                task.cancel()
            await asyncio.wait(working)
            # First: their threads use all that is closed below.
            await run_in_threadpool(parts.reconciler.stop)
            await run_in_threadpool(parts.indexes.stop)
            await run_in_threadpool(parts.trackers.stop)
            parts.publisher.close()
            if parts.prm is not None:
                await parts.prm.aclose()
            if parts.cluster is not None:
                parts.cluster.close()
            parts.store.close()

    return lifespan


async def _collect_daily(home: Path, older_than: float) -> None:
    """Remove old imports of data sets now and once a day, until cancelled."""
    while True:
        try:
            if removed := await run_in_threadpool(collect_imports, home, older_than):
                log.info("removed imports that no run has opened for long", count=len(removed), first=removed[0])
        except OSError as error:
            log.warning("old imports are not removed", error=str(error))
        await asyncio.sleep(DAY)
