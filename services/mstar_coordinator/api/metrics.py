"""What the coordinator tells Prometheus about runs and steps: counted in the database at every scrape, kept nowhere."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mstar.evolution import RunState
from mstar.steps import Queue
from mstar_coordinator.scheduler.reconciler import Reconciler
from mstar_coordinator.scheduler.run_lifecycle import RunLifecycle
from mstar_coordinator.store.database import Store


class RunMetrics(Collector):
    """Counts over one consistent view of the store."""

    def __init__(self, store: Store, lifecycle: RunLifecycle, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._store = store
        self._lifecycle = lifecycle

    def describe(self) -> Iterator[Metric]:
        """Names alone, so that registering does not read the store."""
        yield from (_runs(), _steps(), _lost())

    def collect(self) -> Iterator[Metric]:
        with self._store.reading() as tx:
            runs_by_state, steps_by_state = tx.runs.tally(), tx.steps.tally()
        runs, steps, lost = _runs(), _steps(), _lost()
        for state in RunState:
            # Every state from the start: an alert looks for the step from none to one.
            runs.add_metric([state.value], runs_by_state.get(state.value, 0))
        for (queue, kind, state_of), count in steps_by_state.items():
            held = state_of == "due" and not self._reconciler.is_open(Queue(queue))
            steps.add_metric((queue, kind, "held" if held else state_of), count)
        lost.add_metric([], self._lifecycle.leases_lost)
        yield from (runs, steps, lost)


def add_metrics(registry: CollectorRegistry, store: Store, lifecycle: RunLifecycle, reconciler: Reconciler) -> None:
    """Put the coordinator's own metrics beside those that every service has."""
    registry.register(RunMetrics(store, lifecycle, reconciler))
    degraded = Gauge(
        "mstar_coordinator_degraded", "1 while task messages can't be sent or files written.", registry=registry
    )
    degraded.set_function(lambda: float(reconciler.problem is not None))


def _runs() -> GaugeMetricFamily:
    return GaugeMetricFamily("mstar_coordinator_runs", "Runs.", labels=("state",))


def _steps() -> GaugeMetricFamily:
    said = "Steps of running runs; `due` ones wait for a worker, `held` ones for their turn on GPUs, others for steps."
    return GaugeMetricFamily("mstar_coordinator_steps", said, labels=("queue", "kind", "state"))


def _lost() -> CounterMetricFamily:
    return CounterMetricFamily("mstar_coordinator_leases_lost", "Steps taken back from workers that fell silent.")
