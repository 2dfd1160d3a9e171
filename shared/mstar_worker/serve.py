"""Runs a Celery worker in this process: the same few lines for the trainer and for the coordinator's workers."""

import logging
import os
import socket
from collections.abc import Mapping, Sequence

from pydantic import SecretStr

from mstar.steps import TASK_NAMES, Queue
from mstar_worker.app import make_celery
from mstar_worker.client import StepClient
from mstar_worker.lease import Handler, advance
from mstar_worker.pulse import Pulse


def work(broker_url: SecretStr, queues: Sequence[Queue], handlers: Mapping[str, Handler], steps: StepClient) -> None:
    """Take step ids from these queues, one at a time, until told to stop.

    The solo pool does the work in the main thread, which the time limit of the answer check needs. Gossip, mingle and
    Celery's own heartbeats are off: workers have nothing to tell each other.
    """
    app = make_celery(broker_url.get_secret_value(), queues)
    names = ",".join(queue.value for queue in queues)
    worker = f"{names}@{socket.gethostname()}:{os.getpid()}"

    pulse = Pulse(app)

    def advance_step(step_id: str) -> None:
        with pulse.carried():
            advance(step_id, handlers, steps, worker)

    for queue in queues:
        app.task(advance_step, name=TASK_NAMES[queue])
    # A line for every heartbeat would drown the steps.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    options = ["--loglevel=INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    pulse.start()
    try:
        app.worker_main(["--quiet", "worker", "--pool=solo", "--queues", names, "--hostname", worker, *options])
    finally:
        pulse.end()
