"""A worker of the coordinator: takes step ids from some of the queues control, rollout and score, one at a time."""

import sys

from pydantic import SecretStr

from mstar.environment import read_settings
from mstar.gpu_memory import LatestGpuMemory
from mstar.steps import Queue
from mstar_coordinator.dataset_check import open_looks
from mstar_coordinator.worker.clients import PolicyService, PrmService
from mstar_coordinator.worker.context import Collaborators
from mstar_coordinator.worker.registry import handlers
from mstar_coordinator.worker.replicas import PolicyReplicas, PrmReplicas, Replicas
from mstar_web.logs import configure_logs
from mstar_web.traces import export_traces
from mstar_worker.client import StepClient
from mstar_worker.config import WorkerSettings
from mstar_worker.serve import work

QUEUES = (Queue.CONTROL, Queue.ROLLOUT, Queue.SCORE)
"""Queues this worker can serve; `train` belongs to the trainer."""


class StepWorkerSettings(WorkerSettings):
    """Settings from `MSTAR_WORKER_…` variables."""

    policy_url: str = "http://127.0.0.1:8401"
    """URL of the policy service; several replicas as comma-separated URLs, or as one host name with several
    addresses."""
    prm_url: str = "http://127.0.0.1:8402"
    """URL of the PRM service, or its replicas in the same form."""
    weights_admin_key: SecretStr | None = None
    """Bearer key that may load weights into policy and PRM."""


def main(queues: str) -> None:
    """Work on comma-separated queues until a stop signal. A bad setting ends it with one line and code 1."""
    names = [name.strip() for name in queues.split(",")]
    if not set(names) <= {queue.value for queue in QUEUES}:
        sys.exit(f"--queues {queues}: choose from {', '.join(queue.value for queue in QUEUES)}")
    settings = read_settings(StepWorkerSettings)
    configure_logs("worker")
    export_traces("mstar-worker")
    run(settings, tuple(Queue(name) for name in names))


def run(settings: StepWorkerSettings, queues: tuple[Queue, ...]) -> None:
    """Build the worker from its settings and start it in this process."""
    storage = settings.storage()
    steps = StepClient.of(settings)
    keys = (settings.internal_key, settings.weights_admin_key)
    policy = Replicas(_urls(settings.policy_url), lambda url: PolicyService(url, *keys))
    prm = Replicas(_urls(settings.prm_url), lambda url: PrmService(url, *keys))

    def give_up() -> None:
        policy.give_up()
        prm.give_up()

    use = Collaborators(
        home=storage.home,
        store=storage.artefacts(),
        images=storage.images(),
        looks=lambda: open_looks(storage.home),
        policy=PolicyReplicas(policy),
        prm=PrmReplicas(prm),
        results=steps.results,
    )
    # Steps of the queue `control` use no GPU.
    memory = {Queue.ROLLOUT: LatestGpuMemory(policy.gpu_memory), Queue.SCORE: LatestGpuMemory(prm.gpu_memory)}
    work(settings.broker_url, queues, handlers(use), steps, give_up, gpu_memory=memory)


def _urls(listed: str) -> list[str]:
    return [url.strip() for url in listed.split(",") if url.strip()]
