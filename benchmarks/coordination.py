"""What coordinator and queue cost beside the engines, in an iteration of the standard run's size."""

import statistics
import tempfile
from pathlib import Path

from benchmarks.iteration import SETTINGS, Stack
from benchmarks.measure import PAIRS, Row, sized, timed
from mstar.client import Client, Endpoint
from mstar_embedded.ports import free_ports
from mstar_embedded.supervisor import Supervisor

QUESTIONS, N = sized((900, 16), (20, 2))


def run() -> list[Row]:
    settings = SETTINGS | {
        "data.train": sized(6000, 200),
        "evolution.questions": QUESTIONS,
        "evolution.n": N,
        "generation.shard_questions": 50,
    }
    with tempfile.TemporaryDirectory(prefix="mstar-bench-") as home:
        ports = free_ports()
        endpoint = Endpoint(url=ports.coordinator_url, prm_url=ports.prm_url)
        with Supervisor(Path(home), ports) as supervisor, Client(endpoint) as client:
            stack = Stack(client, supervisor, ports, settings, look_seconds=1.0)
            stack.iteration()
            measured = [timed(stack.iteration) for _ in range(PAIRS)]
    engines, service, workers = (statistics.median(parts) for parts in zip(*stack.shares[1:], strict=True))
    part = statistics.median(service / engines for engines, service, _ in stack.shares[1:])
    work = {key: statistics.median(one[key] for one in measured) for key in ("wall", "tokens", "images")}
    return [
        Row(
            "queue and coordinator",
            service,
            engines,
            1 / part,
            "<= 3 % of the engines",
            part <= 0.03,
            PAIRS,
            "CPU-s",
            "busy time of policy, PRM and trainer",
            {"ours": {"cpu": service}, "other": {"cpu": engines, **work}},
            {"percent": 100 * part, "workers, CPU-s": workers, "responses": QUESTIONS * N},
            "both are measured in the same iterations; workers, which wait and store, are told apart",
        )
    ]
