"""The coordinator's API: `create_app` reads settings and opens what they name, `build_app` joins given parts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import httpx2
import structlog
from fastapi import APIRouter, FastAPI
from fastapi.concurrency import run_in_threadpool

from mstar.api.samples import QuestionSamples
from mstar.environment import read_settings
from mstar.evolution import RunState
from mstar.recipes import Recipe
from mstar.results import RunResults
from mstar.run_plan import GIGA
from mstar.steps import Queue
from mstar.trackers import Tracker
from mstar_artefacts.staging import collect_staging
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.access.audit import Audit
from mstar_coordinator.access.door import Door
from mstar_coordinator.api.metrics import add_metrics
from mstar_coordinator.api.owners import require_own
from mstar_coordinator.api.pages import scoring, sign_in
from mstar_coordinator.api.pages.routes import add_pages
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
from mstar_coordinator.api.routes.scoring import RELAYED, Relay, scoring_router
from mstar_coordinator.api.routes.sessions import SESSION_PATH, SIGN_IN_PATH
from mstar_coordinator.api.run_files import RunFiles
from mstar_coordinator.api.samples import read_samples, stages_of
from mstar_coordinator.batches.jobs import BatchJobs
from mstar_coordinator.batches.runner import BatchRunner
from mstar_coordinator.batches.shelf import FileShelf
from mstar_coordinator.cluster.in_place import InPlace
from mstar_coordinator.cluster.interface import Cluster
from mstar_coordinator.config import CoordinatorSettings, GpuSharing
from mstar_coordinator.dataset_check import open_looks
from mstar_coordinator.responses.indexer import ResponseIndexes
from mstar_coordinator.scheduler.celery_publisher import CeleryPublisher
from mstar_coordinator.scheduler.code_version import code_version
from mstar_coordinator.scheduler.data_admission import DataAdmission
from mstar_coordinator.scheduler.gpu_turns import GpuTurns
from mstar_coordinator.scheduler.model_trial import ModelTrial
from mstar_coordinator.scheduler.ports import Clock, Publisher
from mstar_coordinator.scheduler.reconciler import Reconciler
from mstar_coordinator.scheduler.removal import Removal
from mstar_coordinator.scheduler.repair import Repair
from mstar_coordinator.scheduler.reuse import Reuse
from mstar_coordinator.scheduler.run_folders import RunFolders
from mstar_coordinator.scheduler.run_lifecycle import RunLifecycle
from mstar_coordinator.scheduler.study_jobs import StudyJobs
from mstar_coordinator.store.database import Store, open_store
from mstar_coordinator.tracking.follower import SAMPLES, TrackerFollower
from mstar_coordinator.tracking.sinks import Sink, open_sink, require_installed
from mstar_web.app import base_app
from mstar_web.auth import ANY_ROLE, SignIn, allow
from mstar_web.bodies import BodyBound
from mstar_web.metrics import new_registry

log = structlog.get_logger(__name__)
API_VERSION = "1"
SCORING_SECONDS = 900.0
"""Longer than the PRM's own deadline, which knows better."""
OPEN_PREFIXES = ("/files/", SIGN_IN_PATH, "/sign-in/oidc")
"""What signing in needs: style and scripts of the pages, in which nothing is secret, and the route itself."""
# The first rule whose prefix and method fit decides, so narrower paths stand first.
RULES = (
    *(allow(path, "score") for path, _ in RELAYED),
    *(allow(path, *ANY_ROLE) for path in ("/docs", "/redoc", "/openapi.json", SESSION_PATH)),
    *(allow(path, "run_admin") for path in ("/v1/keys", "/v1/audit")),
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
    return build_app(settings, open_store(settings.store_url()), publisher, time.monotonic, _cluster(settings))


def _cluster(settings: CoordinatorSettings) -> Cluster | None:
    """Where services take turns on GPUs; None where each has its own. Raises InvalidInput outside of a cluster."""
    if settings.gpu_sharing is GpuSharing.DEDICATED:
        return None
    if settings.gpu_sharing is GpuSharing.COLOCATED:
        assert settings.policy_url is not None and settings.prm_url is not None
        return InPlace({Queue.ROLLOUT: settings.policy_url, Queue.SCORE: settings.prm_url}, settings.internal_key)
    from mstar_coordinator.cluster.kubernetes import KubernetesCluster, Release

    replicas = {Queue.ROLLOUT: settings.policy_replicas, Queue.SCORE: settings.prm_replicas}
    names = settings.cluster_namespace, settings.cluster_instance, settings.cluster_prefix
    return KubernetesCluster(Release(*names, replicas, settings.job_template))


def _prm(settings: CoordinatorSettings) -> httpx2.AsyncClient | None:
    if settings.prm_url is None:
        return None
    return httpx2.AsyncClient(base_url=settings.prm_url, timeout=httpx2.Timeout(SCORING_SECONDS, connect=5))


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
    folders, artefacts = RunFolders(settings.home, store), settings.storage().artefacts()
    made = _scheduling(settings, store, publisher, clock, cluster, folders, artefacts)
    reconciler = made.reconciler
    prm, registry = _prm(settings), new_registry()
    score_key = settings.keys().get("score")
    relay = None if prm is None else Relay(prm, score_key)
    batches = _batch_jobs(settings.home, store)
    runner = _batch_runner(batches, prm, relay, score_key)
    door = Door.over(store, settings.keys(), 3600 * settings.session_hours, settings.provider_proof())
    indexes = ResponseIndexes(settings.home.absolute() / ".mstar" / "responses", store, artefacts)
    add_metrics(registry, store, made.lifecycle, reconciler)
    app = base_app(
        "mstar coordinator",
        API_VERSION,
        settings,
        # Never unready because of the broker: workers that have their step already must be able to commit it.
        lambda: None,
        _lifespan(
            settings.home,
            store,
            publisher,
            cluster,
            reconciler,
            indexes,
            prm,
            runner,
            _trackers(settings, store, folders, artefacts),
        ),
        registry,
        RULES,
        lambda: reconciler.problem,
        BOUNDS,
        door.keyring,
        SignIn(door.sessions, sign_in.PAGE, OPEN_PREFIXES),
        require_own,
        partial(Audit, store=store, days=settings.audit_days, unnoted=UNNOTED, wall=store.wall),
        (FILES_PATH,),
    )
    app.state.context = Context(
        settings=settings,
        store=store,
        artefacts=artefacts,
        folders=folders,
        recipes=RecipeBook(settings.recipes_folder),
        lifecycle=made.lifecycle,
        repair=made.repair,
        studies=made.studies,
        responses=indexes,
        removal=Removal(store, folders, artefacts, indexes.discard),
        files=RunFiles(),
        models=_model_trial(settings),
        data=DataAdmission(lambda: open_looks(settings.home), clock, settings.data_check_seconds, settings.home),
        problem=lambda: reconciler.problem,
        door=door,
        batches=batches,
    )
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
        app.include_router(_oidc(settings, door))
    add_pages(app)
    if prm is not None:
        app.include_router(scoring_router(prm, score_key, relay=relay))
        app.include_router(file_routes.router)
        app.include_router(batch_routes.router)
    return app


def _oidc(settings: CoordinatorSettings, door: Door) -> APIRouter:
    # Here and not above: Authlib costs every start a third of a second.
    from mstar_coordinator.access.oidc import Provider
    from mstar_coordinator.api.pages.oidc import RETURN_PATH, oidc_router

    assert settings.oidc_client_secret is not None
    own = settings.public_url.rstrip("/")
    secret = settings.oidc_client_secret.get_secret_value()
    provider = Provider(settings.oidc_issuer, settings.oidc_client_id, secret, own + RETURN_PATH, settings.oidc_scope)
    return oidc_router(provider, settings.claim_rules(), door.sessions, secure=own.startswith("https://"))


def _model_trial(settings: CoordinatorSettings) -> ModelTrial:
    if settings.untried_models:
        log.warning("runs may use models that M-STaR was never tried with", types=settings.untried_models)
    largest = int(GIGA * settings.model_check_gb)
    return ModelTrial(largest, settings.model_check_seconds, settings.trusted_code)


def _trackers(
    settings: CoordinatorSettings, store: Store, folders: RunFolders, artefacts: ArtefactStore
) -> TrackerFollower:
    """What sends runs to trackers. Raises InvalidRecipe for one of the settings that is not installed."""
    always = settings.trackers()
    require_installed(always)

    def running() -> list[str]:
        with store.reading() as tx:
            return [one for one in tx.runs.ids(RunState.RUNNING) if _tracked(tx.runs.get(one).recipe, always)]

    def results(run_id: str) -> RunResults:
        with store.reading() as tx:
            return folders.results(tx, tx.runs.get(run_id))

    def samples(run_id: str, iteration: int) -> list[QuestionSamples]:
        generate, score = stages_of(iteration)
        with store.reading() as tx:
            shards, scores = tx.steps.done_in_stage(run_id, generate), tx.steps.done_in_stage(run_id, score)
        return read_samples(artefacts, shards, scores, -1, SAMPLES)

    notes = settings.home.absolute() / ".mstar" / "tracking" / "notes"
    return TrackerFollower(notes, running, results, samples, partial(_open_tracker, settings.home), always)


def _tracked(recipe: Recipe, always: Collection[Tracker]) -> bool:
    """Whether a run is sent to a tracker. An evaluation has no curve to draw."""
    return recipe.measure is None and bool(always or recipe.tracking)


def _open_tracker(home: Path, tracker: Tracker, run_id: str, name: str, recipe: dict[str, Any]) -> Sink:
    return open_sink(tracker, home, run_id, name, recipe)


def _batch_jobs(home: Path, store: Store) -> BatchJobs:
    own = home.absolute() / ".mstar"
    return BatchJobs(store, FileShelf(own / "files", store), own / "batches")


def _batch_runner(
    jobs: BatchJobs, prm: httpx2.AsyncClient | None, relay: Relay | None, key: str | None
) -> BatchRunner | None:
    """What works batches off; None without a PRM. People's requests are those that `relay` has in hand."""
    if prm is None or relay is None:
        return None
    # A relay of its own: requests of batches must not count as those of people.
    return BatchRunner(jobs, partial(Relay(prm, key).forward, "POST"), lambda: relay.in_hand > 0)


@dataclass(frozen=True)
class _Scheduling:
    """What decides on runs and studies, and what acts on it."""

    lifecycle: RunLifecycle
    repair: Repair
    studies: StudyJobs
    reconciler: Reconciler


def _scheduling(
    settings: CoordinatorSettings,
    store: Store,
    publisher: Publisher,
    clock: Clock,
    cluster: Cluster | None,
    folders: RunFolders,
    artefacts: ArtefactStore,
) -> _Scheduling:
    """All of them share one event, by which those that decide wake the reconciler."""
    changed = Event()
    reuse = Reuse(artefacts, code_version)
    lifecycle = RunLifecycle(
        store,
        folders,
        clock,
        settings.lease_seconds,
        changed,
        artefacts.discard,
        streaming=settings.stream_training and cluster is None,
        reuse=reuse,
    )
    repair = Repair(store, artefacts, settings.storage().images(), lifecycle)
    studies = StudyJobs(store, lifecycle, repair, reuse, artefacts, code_version, changed)
    turns = None if cluster is None else GpuTurns(store, lifecycle, cluster, clock, settings.stuck_seconds)
    reconciler = Reconciler(
        lifecycle,
        store,
        folders,
        publisher,
        clock,
        changed,
        settings.republish_seconds,
        turns=turns,
        advance_studies=studies.advance,
    )
    return _Scheduling(lifecycle, repair, studies, reconciler)


def _lifespan(
    home: Path,
    store: Store,
    publisher: Publisher,
    cluster: Cluster | None,
    reconciler: Reconciler,
    indexes: ResponseIndexes,
    prm: httpx2.AsyncClient | None,
    batches: BatchRunner | None,
    trackers: TrackerFollower,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Starts the reconciler with the app, and at its end closes what the app was given."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Before our own threads begin to write.
        if left := await run_in_threadpool(collect_staging, home):
            log.info("removed what killed writers had left", count=len(left), first=left[0].name)
        reconciler.start()
        trackers.start()
        if batches is not None:
            await run_in_threadpool(batches.tidy)
        working = None if batches is None else asyncio.create_task(batches.run())
        try:
            yield
        finally:
            if working is not None:
                working.cancel()
                await asyncio.wait([working])
            # First: their threads use all that is closed below.
            await run_in_threadpool(reconciler.stop)
            await run_in_threadpool(indexes.stop)
            await run_in_threadpool(trackers.stop)
            publisher.close()
            if prm is not None:
                await prm.aclose()
            if cluster is not None:
                cluster.close()
            store.close()

    return lifespan
