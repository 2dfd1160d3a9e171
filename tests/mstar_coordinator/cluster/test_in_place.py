"""GpuTurns by sleep: a whole run with real power routes on sockets, and what happens when a service is away."""

import threading
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from coordinator_bench import SMALL, Bench, MemoryPublisher
from mstar.api.policy import WeightsState
from mstar.errors import Unavailable
from mstar.evolution import RunState
from mstar.steps import ArtefactRef, Queue
from mstar_coordinator.cluster.in_place import InPlace
from mstar_coordinator.cluster.interface import Pods
from mstar_coordinator.scheduler.gpu_turns import GpuTurns
from mstar_coordinator.scheduler.reconciler import Reconciler
from mstar_web.app import base_app
from mstar_web.loads import Loads
from mstar_web.weights import weights_router
from web_bench import BenchSettings, serving

KEY = SecretStr("i" * 20)


class Sleeper:
    """Holds memory while it is awake; a sleep takes until `let` is set."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.let.set()
        self.naps = 0
        self.broken = False

    def weights(self) -> WeightsState:
        return WeightsState(weight_version="", ready=False, model="")

    async def load(self, ref: ArtefactRef) -> None:
        """No weights are needed here."""

    async def load_folder(self, folder: Path) -> None:
        """No folder either."""

    async def sleep(self) -> None:
        if self.broken:
            raise Unavailable("the engine does not give its memory back")
        self.let.wait(10)
        self.naps += 1


@pytest.fixture
def sleepers() -> dict[Queue, Sleeper]:
    return {Queue.ROLLOUT: Sleeper(), Queue.SCORE: Sleeper()}


@pytest.fixture
def cluster(sleepers: dict[Queue, Sleeper]) -> Iterator[InPlace]:
    with ExitStack() as stack:
        urls = {}
        for queue, sleeper in sleepers.items():
            app = base_app(queue, "1", BenchSettings(internal_key=KEY), lambda: None)
            app.include_router(weights_router(Loads(sleeper)))
            urls[queue] = stack.enter_context(serving(app))
        cluster = InPlace(urls, KEY)
        yield cluster
        cluster.close()


def settle(cluster: InPlace) -> None:
    wait(list(cluster._changing.values()), 20)


def awake(cluster: InPlace) -> set[Queue]:
    return {queue for queue, pods in cluster.pods().items() if pods.there}


def test_a_run_goes_through_while_one_at_a_time_is_awake(
    bench: Bench, cluster: InPlace, sleepers: dict[Queue, Sleeper]
) -> None:
    run_id, publisher = bench.lifecycle.create(SMALL), MemoryPublisher()
    turns = GpuTurns(bench.store, bench.lifecycle, cluster, bench.clock, 900.0)
    reconciler = Reconciler(
        bench.lifecycle, bench.store, bench.folders, publisher, bench.clock, bench.changed, 5.0, turns=turns
    )
    trained = 0
    for _ in range(200):
        reconciler.tick()
        assert reconciler.problem is None
        settle(cluster)
        while (hint := publisher.take()) is not None:
            with bench.store.reading() as tx:
                queue = tx.steps.get(hint).spec.queue
            if queue is not Queue.CONTROL:
                assert awake(cluster) == ({queue} - {Queue.TRAIN}), queue
            trained += queue is Queue.TRAIN
            bench.do(hint)
        bench.clock.pass_(1)
        if bench.run(run_id).state is not RunState.RUNNING:
            break
    assert bench.run(run_id).state is RunState.SUCCEEDED
    assert trained == 3 and all(sleeper.naps >= 2 for sleeper in sleepers.values())
    for _ in range(3):
        reconciler.tick()
        settle(cluster)
    assert awake(cluster) == set(), "without a run all sleep"


def test_a_service_counts_as_there_until_its_memory_is_free(cluster: InPlace, sleepers: dict[Queue, Sleeper]) -> None:
    sleeper = sleepers[Queue.SCORE]
    assert cluster.pods()[Queue.SCORE] == Pods(asked=True, there=1, ready=1)
    cluster.scale(Queue.SCORE, up=False)
    settle(cluster)
    cluster.scale(Queue.SCORE, up=False)
    settle(cluster)
    assert sleeper.naps == 1, "who sleeps is left alone"
    assert cluster.pods()[Queue.SCORE] == Pods(asked=False, there=0, ready=0)
    cluster.scale(Queue.SCORE, up=True)
    settle(cluster)
    assert cluster.pods()[Queue.SCORE].there == 1


def test_a_service_that_does_not_fall_asleep_is_named_after_a_while(
    bench: Bench, cluster: InPlace, sleepers: dict[Queue, Sleeper]
) -> None:
    bench.lifecycle.create(SMALL)
    bench.do(bench.due()[0])
    sleepers[Queue.SCORE].broken = True
    turns = GpuTurns(bench.store, bench.lifecycle, cluster, bench.clock, 900.0)
    for seconds in (0, 1, 900):
        bench.clock.pass_(seconds)
        assert turns.problem is None
        turns.advance()
        settle(cluster)
    turns.advance()
    assert "held up for 15 minutes: prm has 1 of 1 ready (http://127.0.0.1:" in str(turns.problem)
    assert "the engine does not give its memory back" in str(turns.problem)
    sleepers[Queue.SCORE].broken = False
    for _ in range(4):
        turns.advance()
        settle(cluster)
    assert turns.problem is None and turns.is_open(Queue.ROLLOUT)


def test_a_service_that_is_away_stops_the_turns_and_says_so(cluster: InPlace) -> None:
    gone = InPlace({Queue.ROLLOUT: "http://127.0.0.1:9", Queue.SCORE: "http://127.0.0.1:9"}, KEY)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9 does not say whether it sleeps: nothing answers at"):
        gone.pods()
    stranger = InPlace({queue: url for queue, url in cluster._urls.items()}, SecretStr("x" * 20))
    with pytest.raises(Unavailable, match="set MSTAR_COORDINATOR_INTERNAL_KEY"):
        stranger.scale(Queue.ROLLOUT, up=False)
    gone.close()
    stranger.close()
