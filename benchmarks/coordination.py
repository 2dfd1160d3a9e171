"""What coordinator and queue cost beside the engines, in an iteration of the standard run's size."""

import os
import tempfile
from pathlib import Path

from benchmarks.iteration import SETTINGS, Stack
from benchmarks.material import THREADS
from benchmarks.measure import Row
from mstar.client import Client, Endpoint
from mstar_embedded.ports import free_ports
from mstar_embedded.supervisor import Supervisor

QUESTIONS, N = 1000, 16
ITERATIONS = 2


def run() -> list[Row]:
    os.environ["MSTAR_POLICY_THREADS"] = os.environ["MSTAR_PRM_THREADS"] = str(THREADS)
    settings = SETTINGS | {"data.train": 5000, "evolution.questions": QUESTIONS, "evolution.n": N}
    with tempfile.TemporaryDirectory(prefix="mstar-bench-") as home:
        ports = free_ports()
        endpoint = Endpoint(url=ports.coordinator_url, prm_url=ports.prm_url)
        with Supervisor(Path(home), ports) as supervisor, Client(endpoint) as client:
            stack = Stack(client, supervisor, settings)
            for _ in range(ITERATIONS):
                stack.iteration()
    engines, service, workers = (sum(share[place] for share in stack.shares) / ITERATIONS for place in range(3))
    part = service / engines
    return [
        Row(
            "queue and coordinator",
            service,
            engines,
            engines / service,
            "<= 3 % of the engines",
            part <= 0.03,
            ITERATIONS,
            "CPU-s",
            "busy time of policy, PRM and trainer",
            {"percent": 100 * part, "workers, CPU-s": workers, "responses": QUESTIONS * N},
            "its cost is by the step and not by the response: in an iteration of 200 questions it is 8 %",
        )
    ]
