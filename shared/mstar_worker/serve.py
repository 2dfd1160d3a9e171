"""Runs a Celery worker in this process, for the trainer and for the coordinator's workers alike."""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence

import structlog
from celery import Celery
from pydantic import SecretStr

from mstar.gpu_memory import ReadGpuMemory
from mstar.steps import TASK_NAMES, Queue
from mstar_worker.app import make_celery
from mstar_worker.client import StepClient
from mstar_worker.consumer import UnacknowledgedRequest
from mstar_worker.lease import NO_GPUS, GiveUp, Handler, advance, nothing_to_give_up
from mstar_worker.pulse import Pulse
from mstar_worker.watchdog import DEAF_SECONDS, Watchdog

LEAVE_SECONDS = 10.0
"""How long a deaf worker may take to stop before it is killed."""
EXIT_DEAF = 75
"""EX_TEMPFAIL of sysexits.h: worth another start."""

log = structlog.get_logger()


def work(
    broker_url: SecretStr,
    queues: Sequence[Queue],
    handlers: Mapping[str, Handler],
    steps: StepClient,
    give_up: GiveUp = nothing_to_give_up,
    deaf_seconds: float = DEAF_SECONDS,
    gpu_memory: Mapping[Queue, ReadGpuMemory] = NO_GPUS,
) -> None:
    """Take step ids from these queues, one at a time, until a stop signal.

    The solo pool does the work in the main thread, which the time limit of the answer check needs. Gossip, mingle and
    Celery's own heartbeats are off: workers exchange no messages. A worker that receives nothing for
    `deaf_seconds` though its queues hold messages ends with code 75. `give_up` and
    `gpu_memory`: see `advance`.
    """
    app = make_celery(broker_url.get_secret_value(), queues)
    names = ",".join(queue.value for queue in queues)
    worker = f"{names}@{socket.gethostname()}:{os.getpid()}"
    pulse = Pulse(app)

    def advance_step(step_id: str) -> None:
        with pulse.carried():
            advance(step_id, handlers, steps, worker, give_up, gpu_memory)

    for queue in queues:
        app.task(advance_step, name=TASK_NAMES[queue], Request=UnacknowledgedRequest)
    # At INFO, one line per heartbeat would bury the lines about steps.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    options = ["--loglevel=INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    leaving = _Leaving(pulse)
    pulse.start()
    Watchdog(lambda: pulse.waiting_since, lambda: _depth(app, queues), leaving, deaf_seconds).start()
    try:
        app.worker_main(["--quiet", "worker", "--pool=solo", "--queues", names, "--hostname", worker, *options])
    finally:
        pulse.end()
        if leaving.reason is not None:
            sys.exit(EXIT_DEAF)


class _Leaving:
    """Ends a deaf worker: gracefully if its main thread still handles signals, else at once."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self.reason: str | None = None

    def __call__(self, reason: str) -> None:
        self.reason = reason
        log.critical("worker is deaf and exits", reason=reason)
        os.kill(os.getpid(), signal.SIGTERM)
        # The handler runs in the main thread, which may hang in a call that never returns.
        time.sleep(LEAVE_SECONDS)
        self._pulse.end()
        os._exit(EXIT_DEAF)


def _depth(app: Celery, queues: Sequence[Queue]) -> int:
    """Messages that wait in these queues. Raises what the broker's client raises when it does not answer."""
    with app.connection_for_write() as connection:
        client = connection.default_channel.client
        return sum(int(client.llen(queue.value)) for queue in queues)
