"""A worker of the coordinator: takes step ids from some of the queues control, rollout and score, one at a time."""

import os
import socket
import sys
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from mstar.steps import TASK_NAMES, Queue
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.tasks import handlers
from mstar_coordinator.work.context import Context
from mstar_coordinator.work.services import PolicyService, PrmService
from mstar_web.logs import configure_logs
from mstar_worker.app import make_celery
from mstar_worker.client import StepClient
from mstar_worker.lease import advance


class WorkerSettings(BaseSettings):
    """Settings of the coordinator's workers, from `MSTAR_WORKER_…` variables."""

    model_config = SettingsConfigDict(env_prefix="MSTAR_WORKER_", frozen=True, extra="forbid")

    broker_url: SecretStr
    """Redis or Valkey that carries the hints."""
    coordinator_url: str = "http://127.0.0.1:8400"
    """Where steps are claimed and committed."""
    policy_url: str = "http://127.0.0.1:8401"
    """The policy service."""
    prm_url: str = "http://127.0.0.1:8402"
    """The PRM service."""
    home: Path = Path("runs")
    """Root of artefacts and images, shared with all services."""
    api_key: SecretStr | None = None
    """Bearer key of the services."""


def main(queues: str) -> None:
    """Work on comma-separated queues until told to stop."""
    try:
        chosen = tuple(Queue(name.strip()) for name in queues.split(","))
    except ValueError:
        sys.exit(f"error: --queues {queues}: choose from control, rollout, score")
    run(WorkerSettings(), chosen)


def run(settings: WorkerSettings, queues: tuple[Queue, ...]) -> None:
    """Build the worker from its settings and start it in this process (solo pool: one step at a time)."""
    configure_logs("worker")
    app = make_celery(settings.broker_url.get_secret_value(), queues)
    coordinator = StepClient(settings.coordinator_url, settings.api_key)
    work = handlers(
        Context(
            store=ArtefactStore(settings.home),
            images=ImageStore(settings.home / ".mstar" / "images"),
            policy=PolicyService(settings.policy_url, settings.api_key),
            prm=PrmService(settings.prm_url, settings.api_key),
            results=coordinator.results,
        )
    )
    names = ",".join(queue.value for queue in queues)
    worker = f"{names}@{socket.gethostname()}:{os.getpid()}"
    for queue in queues:

        @app.task(name=TASK_NAMES[queue])  # type: ignore[untyped-decorator]
        def advance_step(step_id: str) -> None:
            advance(step_id, work, coordinator, worker)

    app.worker_main(["worker", "--pool=solo", "--queues", names, "--hostname", worker, "--loglevel=INFO"])
