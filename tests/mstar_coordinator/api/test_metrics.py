"""Metrics of the coordinator follow the database, without being told."""

import time
from threading import Event

from prometheus_client import CollectorRegistry

from coordinator_bench import SMALL, Bench, HandClock, MemoryPublisher
from mstar.evolution import RunState
from mstar_coordinator.api.metrics import add_metrics
from mstar_coordinator.scheduler.reconciler import Reconciler


def registry_of(bench: Bench, publisher: MemoryPublisher) -> tuple[CollectorRegistry, Reconciler]:
    made = CollectorRegistry()
    reconciler = Reconciler(bench.lifecycle, bench.store, bench.folders, publisher, HandClock(), Event(), 5.0)
    add_metrics(made, bench.store, bench.lifecycle, reconciler)
    return made, reconciler


def counted(registry: CollectorRegistry, kind: str, state: str) -> float | None:
    families = {family.name: family for family in registry.collect()}
    found = [
        sample.value
        for sample in families["mstar_coordinator_steps"].samples
        if (sample.labels["kind"], sample.labels["state"]) == (kind, state)
    ]
    return sum(found) if found else None


def test_steps_are_counted_by_what_they_wait_for(bench: Bench) -> None:
    registry, _ = registry_of(bench, MemoryPublisher())
    assert counted(registry, "prepare", "due") is None
    run_id = bench.lifecycle.create(SMALL)
    assert counted(registry, "prepare", "due") == 1
    assert (counted(registry, "train", "waiting") or 0) >= 2
    bench.lifecycle.claim(bench.step_id(run_id, "prepare"), "w")
    assert (counted(registry, "prepare", "due"), counted(registry, "prepare", "leased")) == (None, 1)
    bench.lifecycle.pause(run_id)
    assert counted(registry, "prepare", "leased") is None


def test_every_state_of_a_run_is_there_before_a_run_is_in_it(bench: Bench) -> None:
    registry, _ = registry_of(bench, MemoryPublisher())

    def runs(state: RunState) -> float | None:
        return registry.get_sample_value("mstar_coordinator_runs", {"state": state.value})

    assert [runs(state) for state in RunState] == [0] * len(RunState)
    bench.lifecycle.create(SMALL)
    assert (runs(RunState.RUNNING), runs(RunState.FAILED)) == (1, 0)


def test_a_worker_that_falls_silent_is_counted_once(bench: Bench) -> None:
    registry, _ = registry_of(bench, MemoryPublisher())
    bench.lifecycle.claim(bench.step_id(bench.lifecycle.create(SMALL), "prepare"), "w")
    for _ in range(2):
        bench.let_leases_run_out()
        assert registry.get_sample_value("mstar_coordinator_leases_lost_total") == 1


def test_a_broker_that_is_gone_shows_before_a_run_needs_it(bench: Bench) -> None:
    publisher = MemoryPublisher()
    registry, reconciler = registry_of(bench, publisher)
    reconciler.start()
    try:
        for publisher.down in (False, True, False):
            # The broker is asked once a second.
            deadline = time.monotonic() + 15
            while registry.get_sample_value("mstar_coordinator_degraded") != publisher.down:
                assert time.monotonic() < deadline, publisher.down
                time.sleep(0.05)
    finally:
        reconciler.stop()
