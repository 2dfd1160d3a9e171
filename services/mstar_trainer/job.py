"""Does one train step and exits: the program of a Kubernetes Job, where training shares the GPUs in turns.

The first node claims the step like any worker. Nodes of the same Job ask the coordinator for what it was given, start
their share of the ranks, and end when it ends or loses the lease. Failures are reported to the coordinator, which
creates another Job; so a Job itself is never retried.
"""

import os
import socket
import threading
import time
from collections.abc import Callable

import structlog

from mstar.api.steps import Arrivals, Claim
from mstar.environment import read_settings
from mstar.errors import InvalidInput, MstarError, NotFound, StepTaken, Unavailable
from mstar.stages.train import TRAIN, TrainResult
from mstar.steps import ArtefactRef
from mstar_trainer.config import JobSettings
from mstar_trainer.resident import NodePlace, ResidentTrainer
from mstar_trainer.tasks import train_step
from mstar_web.logs import configure_logs
from mstar_web.traces import export_traces
from mstar_worker.client import StepClient
from mstar_worker.lease import advance

LOOK_SECONDS = 2.0
"""Time between two looks at the lease of the first node."""
CLAIM_SECONDS = 900.0
"""How long the other nodes wait for the first one to claim."""

log = structlog.get_logger()


def main() -> None:
    """Do the step of this Job. Kubernetes sets `JOB_COMPLETION_INDEX` to the number of this node."""
    configure_logs("mstar-trainer")
    export_traces("mstar-trainer")
    run(read_settings(JobSettings), int(os.environ.get("JOB_COMPLETION_INDEX", "0")))


def run(settings: JobSettings, node: int) -> None:
    """Do the part of one node; return when the step is committed, given back or taken by another."""
    coordinator = StepClient.of(settings)
    meeting = f"tcp://{settings.first_node}:{settings.port}" if settings.nodes > 1 else None
    place = NodePlace(node, settings.nodes, meeting)
    trainer = ResidentTrainer(
        settings.storage(), settings.threads, settings.silence_seconds, place, settings.busy_share
    )
    try:
        if node == 0:
            _lead(settings, coordinator, trainer)
        else:
            _follow(settings, coordinator, trainer)
    finally:
        trainer.close()


def _lead(settings: JobSettings, coordinator: StepClient, trainer: ResidentTrainer) -> None:
    store = settings.storage().artefacts()

    def handle(claim: Claim, progress: Callable[[int, int], None]) -> tuple[ArtefactRef, TrainResult]:
        _check_ranks(claim, settings.nodes)
        return train_step(claim, progress, coordinator.follow(claim), store, trainer)

    advance(settings.step, {TRAIN.kind: handle}, coordinator, f"job@{socket.gethostname()}")


def _follow(settings: JobSettings, coordinator: StepClient, trainer: ResidentTrainer) -> None:
    claim = await_claim(settings.step, settings.epoch, coordinator)
    if claim is None:
        return
    watch = threading.Thread(target=_watch, args=(settings, coordinator, trainer), name="watch", daemon=True)
    watch.start()
    params = TRAIN.narrow(claim.step.params)
    try:
        trainer.train(claim, params.settings.ranks, lambda done, total: None, _nothing_more)
    except MstarError as error:
        # The first node reports the failure to the coordinator; this one only stops.
        log.warning("training ended", step=claim.step.name, detail=error.detail)


def await_claim(
    step: str, epoch: int | None, coordinator: StepClient, seconds: float = CLAIM_SECONDS, pause: float = LOOK_SECONDS
) -> Claim | None:
    """The claim of the first node; None when its attempt is over or it never claimed, whatever answers meanwhile."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            claim = coordinator.claimed(step)
        except NotFound:
            return None
        except (StepTaken, Unavailable):
            time.sleep(pause)
            continue
        except MstarError as error:
            # A refused key, or a proxy's page in the coordinator's place: it may be corrected within the time.
            log.warning("claim not read", step=step, detail=error.detail)
            time.sleep(pause)
            continue
        # Another epoch is a later attempt, which has a Job and nodes of its own.
        return claim if claim.epoch == epoch else None
    log.warning("the first node has not claimed the step", step=step, seconds=seconds)
    return None


def _watch(settings: JobSettings, coordinator: StepClient, trainer: ResidentTrainer) -> None:
    """Kill this node's ranks when the first node no longer holds the step."""
    while True:
        time.sleep(LOOK_SECONDS)
        try:
            if coordinator.claimed(settings.step).epoch == settings.epoch:
                continue
        except (StepTaken, NotFound):
            pass
        except MstarError:
            # A coordinator that restarts, or a proxy's error page: neither says that the lease is lost.
            continue
        return trainer.kill()


def _check_ranks(claim: Claim, nodes: int) -> None:
    params = TRAIN.narrow(claim.step.params)
    if params.settings.ranks % nodes:
        raise InvalidInput(
            f"train.ranks is {params.settings.ranks}, which {nodes} nodes cannot share: choose a multiple of {nodes}",
            field="train.ranks",
        )


def _nothing_more() -> Arrivals:
    """No inputs to wait for: a Job starts when all of its data is there."""
    return Arrivals(inputs={}, coming=True)
