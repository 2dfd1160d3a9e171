"""What the PRM tells Prometheus of the work that it did: read from the scorer at every scrape, kept nowhere."""

from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from mstar_prm.scorer import WorkCounts


class WorkMetrics(Collector):
    """Everything that the scorer counts, by kind."""

    def __init__(self, work: WorkCounts) -> None:
        self._work = work

    def collect(self) -> Iterator[Metric]:
        said = "Tokens computed, images encoded, forward passes, and questions whose prompt was remembered."
        counter = CounterMetricFamily("mstar_prm_work", said, labels=("kind",))
        # By the fields of `WorkCounts`, so a new counter is told without a change here.
        for kind, count in asdict(self._work).items():
            counter.add_metric([kind], count)
        yield counter
