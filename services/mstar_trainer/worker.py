"""The worker process: takes step ids from the queue `train`, one at a time, and runs the training processes.

It never imports torch, so it stays small and answers its broker while the training processes compute.
"""

from collections.abc import Callable

from mstar.api.steps import Claim
from mstar.environment import read_settings
from mstar.gpu_memory import LatestGpuMemory
from mstar.stages.train import TRAIN, TrainResult
from mstar.steps import ArtefactRef, Queue
from mstar_trainer.config import TrainerSettings
from mstar_trainer.resident import ResidentTrainer
from mstar_trainer.tasks import train_step
from mstar_web.logs import configure_logs
from mstar_web.traces import export_traces
from mstar_worker.client import StepClient
from mstar_worker.serve import work


def main() -> None:
    """Work until told to stop, then kill the training processes."""
    configure_logs("mstar-trainer")
    export_traces("mstar-trainer")
    run(read_settings(TrainerSettings))


def run(settings: TrainerSettings) -> None:
    """Build the worker from its settings and start it in this process (solo pool: one step at a time)."""
    coordinator = StepClient.of(settings)
    storage = settings.storage()
    store = storage.artefacts()
    # A resident trainer has its GPU to itself, or shares it by choice of the operator.
    busy_share = 1.0 if settings.resident else settings.busy_share
    trainer = ResidentTrainer(storage, settings.threads, settings.silence_seconds, busy_share=busy_share)

    def handle(claim: Claim, progress: Callable[[int, int], None]) -> tuple[ArtefactRef, TrainResult]:
        try:
            return train_step(claim, progress, coordinator.follow(claim), store, trainer)
        finally:
            # Before the step is committed: the next one on this GPU may begin as soon as it is.
            if not settings.resident:
                trainer.close()

    memory = {Queue.TRAIN: LatestGpuMemory()}
    try:
        work(settings.broker_url, (Queue.TRAIN,), {TRAIN.kind: handle}, coordinator, gpu_memory=memory)
    finally:
        trainer.close()
