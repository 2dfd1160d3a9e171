"""What the PRM tells Prometheus of the work that it did: read from the scorer at every scrape, kept nowhere."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from mstar_prm.scorer import Work

COUNTED = {
    "tokens": "Tokens computed.",
    "images": "Images encoded.",
    "forwards": "Forward passes.",
    "known_prompts": "Questions whose prompt was remembered.",
}


class WorkMetrics(Collector):
    """One counter for each kind of work."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def collect(self) -> Iterator[Metric]:
        for name, said in COUNTED.items():
            yield CounterMetricFamily(f"mstar_prm_{name}", said, value=getattr(self._work, name))
