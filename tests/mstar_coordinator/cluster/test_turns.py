"""A whole run on GPUs that are taken in turns: against an API server on a socket, with pods that come and go."""

from prometheus_client import CollectorRegistry

from cluster_bench import ApiServer, env_of
from coordinator_bench import SMALL, Bench, MemoryPublisher
from mstar.api.steps import Release
from mstar.evolution import RunState
from mstar.steps import Queue
from mstar_coordinator.cluster.turns import Turns
from mstar_coordinator.metrics import add_metrics
from mstar_coordinator.reconcile import Reconciler
from mstar_coordinator.records import StepState


class Site:
    """Coordinator, queue and cluster; `step` lets a second pass."""

    def __init__(self, bench: Bench, server: ApiServer) -> None:
        self.bench, self.server, self.publisher = bench, server, MemoryPublisher()
        self.turns = Turns(bench.store, server.cluster())
        self.reconciler = Reconciler(
            bench.rounds, bench.store, bench.folders, self.publisher, bench.clock, bench.changed, 5.0, turns=self.turns
        )
        self.order: list[str] = []
        """Holders of the GPUs, each time that they change."""

    def step(self) -> None:
        self.reconciler.tick()
        holders = self.server.holders()
        assert len(holders) <= 1 or not self.order, "after the install one service at a time has pods"
        if len(holders) == 1 and self.order[-1:] != list(holders):
            self.order += holders
        while (hint := self.publisher.take()) is not None:
            self.bench.do(hint)
        self._train()
        self.server.tick()
        self.bench.clock.pass_(1)

    def _train(self) -> None:
        """What the Job's pod does: its step, then it ends."""
        for job in self.server.jobs.values():
            step_id = env_of(job)["MSTAR_TRAINER_STEP"]
            with self.bench.store.reading() as tx:
                state = tx.steps.get(step_id).state
            if state is StepState.PENDING:
                self.bench.do(step_id)
                self.server.end_training()


def test_a_run_goes_through_on_gpus_taken_in_turns(bench: Bench, server: ApiServer) -> None:
    run_id = bench.rounds.create(SMALL)
    site = Site(bench, server)
    for _ in range(200):
        site.step()
        if bench.run(run_id).state is not RunState.RUNNING:
            break
    assert bench.run(run_id).state is RunState.SUCCEEDED
    assert len(server.jobs) == len([name for name in bench.steps(run_id) if name.endswith("train")]) == 3
    assert {"policy", "prm", "trainer"} == set(site.order)
    for _ in range(4):
        site.step()
    assert server.holders() == set(), "without a run nobody holds a GPU"
    assert server.used == {
        ("get", "apps", "deployments/scale"),
        ("patch", "apps", "deployments/scale"),
        ("list", "", "pods"),
        ("create", "batch", "jobs"),
    }


def test_hints_wait_until_pods_answer(bench: Bench, server: ApiServer) -> None:
    bench.rounds.create(SMALL)
    bench.do(bench.due()[0])
    site = Site(bench, server)
    site.reconciler.tick()
    assert site.publisher.sent == [], "nobody answers yet"
    assert not site.turns.is_open(Queue.ROLLOUT) and site.turns.is_open(Queue.CONTROL)
    registry = CollectorRegistry()
    add_metrics(registry, bench.store, bench.rounds, site.reconciler)
    samples = [sample for family in registry.collect() for sample in family.samples]
    told = {sample.labels["state"] for sample in samples if "queue" in sample.labels}
    assert "held" in told and "due" not in told, "an alert would take it for stuck"


def test_train_steps_are_done_by_jobs_and_never_hinted(bench: Bench, server: ApiServer) -> None:
    run_id = bench.rounds.create(SMALL)
    bench.work(until=lambda claim: claim.step.name == "warmup/train")
    train = bench.steps(run_id)["warmup/train"]
    bench.rounds.release(train.id, Release(epoch=train.epoch, error="later", preempted=True))
    server.replicas = {"policy": 0, "prm": 0}
    site = Site(bench, server)
    for _ in range(3):
        site.reconciler.tick()
    (job,) = server.jobs.values()
    assert env_of(job) == {"MSTAR_TRAINER_STEP": train.id}
    assert site.publisher.queues[Queue.TRAIN] == []


def test_an_api_server_that_refuses_closes_the_queues_and_is_told(bench: Bench, server: ApiServer) -> None:
    bench.rounds.create(SMALL)
    site = Site(bench, server)
    for _ in range(6):
        site.step()
    assert site.turns.is_open(Queue.ROLLOUT)
    server.refuse = 403
    site.reconciler.tick()
    assert site.reconciler.problem == "Kubernetes refused: 403 Forbidden"
    assert not site.turns.is_open(Queue.ROLLOUT)
