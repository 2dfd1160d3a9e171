"""A whole run on GPUs that are taken in turns: against an API server on a socket, with pods that come and go."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cluster_bench import ApiServer, env_of, pod
from coordinator_bench import SMALL, Bench, MemoryPublisher
from mstar.api.steps import Release
from mstar.evolution import RunState
from mstar.steps import Queue
from mstar_coordinator.api.metrics import add_metrics
from mstar_coordinator.cluster.interface import COMPONENTS
from mstar_coordinator.scheduler.gpu_turns import GpuTurns
from mstar_coordinator.scheduler.reconciler import Reconciler
from mstar_coordinator.scheduler.step_lifecycle import ATTEMPTS
from mstar_coordinator.store.records import StepState

STUCK = 900.0


class Site:
    """Coordinator, queue and cluster; `step` lets a second pass."""

    def __init__(self, bench: Bench, server: ApiServer) -> None:
        self.bench, self.server, self.publisher = bench, server, MemoryPublisher()
        self.turns = GpuTurns(bench.store, bench.lifecycle, server.cluster(), bench.clock, STUCK)
        self.reconciler = Reconciler(
            bench.lifecycle,
            bench.store,
            bench.folders,
            self.publisher,
            bench.clock,
            bench.changed,
            5.0,
            turns=self.turns,
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
            self._work(hint)
        self._train()
        self.server.tick()
        self.bench.clock.pass_(1)

    def _work(self, hint: str) -> None:
        """What a worker does: it pushes the weights that its step needs, and does it."""
        with self.bench.store.reading() as tx:
            queue = tx.steps.get(hint).spec.queue
        if queue in COMPONENTS:
            self.server.loaded.add(COMPONENTS[queue])
        self.bench.do(hint)

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
    run_id = bench.lifecycle.create(SMALL)
    site = Site(bench, server)
    for _ in range(200):
        site.step()
        if bench.run(run_id).state is not RunState.RUNNING:
            break
    assert bench.run(run_id).state is RunState.SUCCEEDED
    assert len(server.made) == len([name for name in bench.steps(run_id) if name.endswith("train")]) == 3
    assert len(server.jobs) == 1, "finished ones are deleted before the next"
    assert {"policy", "prm", "trainer"} == set(site.order)
    for _ in range(4):
        site.step()
    assert server.holders() == set(), "without a run nobody holds a GPU"
    assert server.used == {
        ("get", "apps", "deployments/scale"),
        ("patch", "apps", "deployments/scale"),
        ("list", "", "pods"),
        ("get", "", "configmaps"),
        ("create", "batch", "jobs"),
        ("list", "batch", "jobs"),
        ("delete", "batch", "jobs"),
    }


def test_hints_wait_until_pods_answer(bench: Bench, server: ApiServer) -> None:
    bench.lifecycle.create(SMALL)
    bench.do(bench.due()[0])
    site = Site(bench, server)
    site.reconciler.tick()
    assert site.publisher.sent == [], "nobody answers yet"
    assert not site.turns.is_open(Queue.ROLLOUT) and site.turns.is_open(Queue.CONTROL)
    registry = CollectorRegistry()
    add_metrics(registry, bench.store, bench.lifecycle, site.reconciler)
    samples = [sample for family in registry.collect() for sample in family.samples]
    told = {sample.labels["state"] for sample in samples if "queue" in sample.labels}
    assert "held" in told and "due" not in told, "an alert would take it for stuck"


def test_train_steps_are_done_by_jobs_and_never_hinted(bench: Bench, server: ApiServer) -> None:
    run_id = bench.lifecycle.create(SMALL)
    bench.work(until=lambda claim: claim.step.name == "warmup/train")
    train = bench.steps(run_id)["warmup/train"]
    bench.lifecycle.release(train.id, Release(epoch=train.epoch, error="later", preempted=True))
    server.replicas = {"policy": 0, "prm": 0}
    site = Site(bench, server)
    for _ in range(3):
        site.reconciler.tick()
    (job,) = server.jobs.values()
    assert env_of(job) == {"MSTAR_TRAINER_STEP": train.id}
    assert site.publisher.queues[Queue.TRAIN] == []


def test_an_api_server_that_refuses_closes_the_queues_and_is_told(bench: Bench, server: ApiServer) -> None:
    bench.lifecycle.create(SMALL)
    site = Site(bench, server)
    for _ in range(6):
        site.step()
    assert site.turns.is_open(Queue.ROLLOUT)
    server.refuse = 403
    site.reconciler.tick()
    assert site.reconciler.problem == "Kubernetes refuses to list pods: 403 Forbidden (no)"
    assert not site.turns.is_open(Queue.ROLLOUT)


UNPULLED = {
    "phase": "Pending",
    "containerStatuses": [
        {
            "name": "prm",
            "image": "i",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image i"}},
        }
    ],
}
UNPLACED = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        }
    ],
}


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (UNPULLED, "m-policy-0 is Pending, ImagePullBackOff: Back-off pulling image i"),
        (UNPLACED, "m-policy-0 is Pending, Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."),
        ({"phase": "Running"}, "m-policy-0 is Running and not ready"),
    ],
)
def test_a_pod_that_holds_a_turn_up_is_named_after_a_while(
    bench: Bench, server: ApiServer, status: dict[str, Any], why: str
) -> None:
    bench.lifecycle.create(SMALL)
    server.kept_from["policy"] = status
    site = Site(bench, server)
    for _ in range(6):
        site.step()
    assert site.reconciler.problem is None, "a start takes its time"
    bench.clock.pass_(STUCK)
    site.step()
    minutes = "the turn on the GPUs has been held up for 15 minutes"
    assert site.reconciler.problem == f"{minutes}: policy has 0 of 1 ready ({why})"
    del server.kept_from["policy"]
    for _ in range(2):
        site.step()
    assert site.reconciler.problem is None and site.turns.is_open(Queue.ROLLOUT)


def test_a_pod_that_does_not_end_is_named_too(bench: Bench, server: ApiServer) -> None:
    bench.lifecycle.create(SMALL)
    bench.do(bench.due()[0])
    site = Site(bench, server)
    server.pods = [pod("prm", deletionTimestamp="2026-01-01T00:00:00Z")]
    for seconds in (0, STUCK):
        bench.clock.pass_(seconds)
        site.reconciler.tick()
    assert "prm has 0 of 2 ready (m-prm-0 has not ended yet)" in str(site.reconciler.problem)


def test_jobs_that_end_before_they_take_their_step_fail_the_run(bench: Bench, server: ApiServer) -> None:
    run_id = bench.lifecycle.create(SMALL)
    bench.work(until=lambda claim: claim.step.name == "warmup/train")
    train = bench.steps(run_id)["warmup/train"]
    bench.lifecycle.release(train.id, Release(epoch=train.epoch, error="later", preempted=True))
    server.replicas = {"policy": 0, "prm": 0}
    site = Site(bench, server)
    for _ in range(40):
        site.reconciler.tick()
        server.end_training(exit_code=137, log="Killed")
        if bench.run(run_id).state is RunState.FAILED:
            break
    assert len({job["metadata"]["name"] for job in server.made}) == len(server.made) == ATTEMPTS
    error = bench.run(run_id).error or ""
    assert error.startswith(f"step warmup/train failed at attempt {ATTEMPTS}: Job m-train-") and "137" in error
    assert bench.events(run_id).count("step.retried") == ATTEMPTS
    bench.lifecycle.resume(run_id)
    site.reconciler.tick()
    assert len(server.made) == ATTEMPTS + 1, "a resumed run tries again, under another name"


def test_an_attempt_that_took_its_step_after_all_is_not_counted(bench: Bench, server: ApiServer) -> None:
    run_id = bench.lifecycle.create(SMALL)
    (step_id,) = bench.due()
    bench.lifecycle.claim(step_id, "job")
    bench.lifecycle.end_unclaimed(step_id, 0, "it ended")
    step = bench.steps(run_id)["prepare"]
    assert (step.state, step.epoch, step.attempts) == (StepState.LEASED, 1, 1)
