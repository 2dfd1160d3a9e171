"""What the coordinator's app is made of, from its settings and from the store, publisher, clock and cluster given."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import httpx2
import structlog

from mstar.api.samples import QuestionSamples
from mstar.evolution import RunState
from mstar.recipes import Recipe
from mstar.results import RunResults
from mstar.steps import Queue
from mstar.trackers import Tracker
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.access.door import Door
from mstar_coordinator.api.samples import read_samples, stages_of
from mstar_coordinator.batches.jobs import BatchJobs
from mstar_coordinator.batches.runner import BatchRunner
from mstar_coordinator.batches.shelf import FileShelf
from mstar_coordinator.cluster.in_place import InPlace
from mstar_coordinator.cluster.interface import Cluster
from mstar_coordinator.config import CoordinatorSettings, GpuSharing
from mstar_coordinator.relay import Relay
from mstar_coordinator.responses.indexer import ResponseIndexes
from mstar_coordinator.scheduler.code_version import code_version
from mstar_coordinator.scheduler.data_places import reach_of
from mstar_coordinator.scheduler.gpu_turns import GpuTurns
from mstar_coordinator.scheduler.model_trial import ModelTrial, trial_of
from mstar_coordinator.scheduler.ports import Clock, Publisher
from mstar_coordinator.scheduler.reconciler import Reconciler
from mstar_coordinator.scheduler.repair import Repair
from mstar_coordinator.scheduler.reuse import Reuse
from mstar_coordinator.scheduler.run_folders import RunFolders
from mstar_coordinator.scheduler.run_lifecycle import RunLifecycle
from mstar_coordinator.scheduler.study_jobs import StudyJobs
from mstar_coordinator.store.database import Store
from mstar_coordinator.tracking.follower import SAMPLES, TrackerFollower
from mstar_coordinator.tracking.sinks import Sink, open_sink, require_installed

log = structlog.get_logger(__name__)
SCORING_SECONDS = 900.0
"""Longer than the PRM's own deadline, which knows better."""


@dataclass(frozen=True)
class Parts:
    """All of one app. Those with a thread are not started yet."""

    store: Store
    publisher: Publisher
    cluster: Cluster | None
    folders: RunFolders
    artefacts: ArtefactStore
    lifecycle: RunLifecycle
    repair: Repair
    studies: StudyJobs
    reconciler: Reconciler
    indexes: ResponseIndexes
    trackers: TrackerFollower
    door: Door
    prm: httpx2.AsyncClient | None
    """Connection to the PRM; None where there is none, as are the next two."""
    relay: Relay | None
    """Passes people's requests on to it."""
    runner: BatchRunner | None
    batches: BatchJobs


def make_parts(
    settings: CoordinatorSettings, store: Store, publisher: Publisher, clock: Clock, cluster: Cluster | None
) -> Parts:
    """Raises InvalidRecipe for a tracker of the settings that is not installed."""
    folders, artefacts = RunFolders(settings.home, store), settings.storage().artefacts()
    made = _scheduling(settings, store, publisher, clock, cluster, folders, artefacts)
    prm, score_key = _prm(settings), settings.keys().get("score")
    relay = None if prm is None else Relay(prm, score_key)
    batches = _batch_jobs(settings.home, store)
    return Parts(
        store=store,
        publisher=publisher,
        cluster=cluster,
        folders=folders,
        artefacts=artefacts,
        lifecycle=made.lifecycle,
        repair=made.repair,
        studies=made.studies,
        reconciler=made.reconciler,
        indexes=ResponseIndexes(settings.home.absolute() / ".mstar" / "responses", store, artefacts),
        trackers=_trackers(settings, store, folders, artefacts),
        door=Door.over(store, settings.keys(), 3600 * settings.session_hours, settings.provider_proof()),
        prm=prm,
        relay=relay,
        runner=_batch_runner(batches, prm, relay, score_key, clock),
        batches=batches,
    )


def cluster_of(settings: CoordinatorSettings) -> Cluster | None:
    """Where services take turns on GPUs; None where each has its own. Raises InvalidInput outside of a cluster."""
    if settings.gpu_sharing is GpuSharing.DEDICATED:
        return None
    if settings.gpu_sharing is GpuSharing.COLOCATED:
        assert settings.policy_url is not None and settings.prm_url is not None
        return InPlace({Queue.ROLLOUT: settings.policy_url, Queue.SCORE: settings.prm_url}, settings.internal_key)
    from mstar_coordinator.cluster.kubernetes import HelmRelease, KubernetesCluster

    replicas = {Queue.ROLLOUT: settings.policy_replicas, Queue.SCORE: settings.prm_replicas}
    names = settings.cluster_namespace, settings.cluster_instance, settings.cluster_prefix
    return KubernetesCluster(HelmRelease(*names, replicas, settings.job_template))


def model_trial(settings: CoordinatorSettings) -> ModelTrial:
    """What runs models once before their run is started."""
    if settings.untried_models:
        log.warning("runs may use models that M-STaR was never tried with", types=settings.untried_models)
    return trial_of(settings)


def _prm(settings: CoordinatorSettings) -> httpx2.AsyncClient | None:
    if settings.prm_url is None:
        return None
    return httpx2.AsyncClient(base_url=settings.prm_url, timeout=httpx2.Timeout(SCORING_SECONDS, connect=5))


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
    jobs: BatchJobs, prm: httpx2.AsyncClient | None, relay: Relay | None, key: str | None, clock: Clock
) -> BatchRunner | None:
    """What works batches off; None without a PRM. People's requests are those that `relay` has in hand."""
    if prm is None or relay is None:
        return None
    # A relay of its own: requests of batches must not count as those of people.
    return BatchRunner(jobs, partial(Relay(prm, key).forward, "POST"), lambda: relay.in_hand > 0, clock)


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
        reach=partial(reach_of, data_root=settings.data_root, home=settings.home),
    )
    repair = Repair(store, artefacts, settings.storage().images(), lifecycle, folders.path)
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
