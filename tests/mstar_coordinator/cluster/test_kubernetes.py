"""The adapter against an API server on a socket: what it sees of pods, what it asks for, how it fails."""

import json
from pathlib import Path

import pytest
from kubernetes import client

from cluster_bench import ApiServer, env_of
from mstar.errors import InvalidInput, Unavailable
from mstar.steps import Queue
from mstar_coordinator.cluster.interface import Pods
from mstar_coordinator.cluster.kubernetes import HelmRelease, KubernetesCluster
from raw_server import RawServer, http


def test_pods_are_there_before_they_answer_and_until_they_are_gone(server: ApiServer) -> None:
    cluster = server.cluster()

    def policy() -> Pods:
        server.tick()
        return cluster.pods()[Queue.ROLLOUT]

    assert cluster.pods()[Queue.ROLLOUT] == Pods(asked=True)
    assert policy() == Pods(asked=True, there=1, waiting="m-policy-0 is Pending and not ready")
    assert policy() == Pods(asked=True, there=1, ready=1)
    cluster.scale(Queue.ROLLOUT, up=False)
    assert policy() == Pods(there=1, waiting="m-policy-0 has not ended yet")
    assert policy() == Pods()


def test_a_turn_wants_all_replicas(server: ApiServer) -> None:
    cluster = server.cluster()
    for replicas in (1, 2):
        cluster.scale(Queue.SCORE, up=replicas == 2)
        server.replicas["prm"] = replicas
        for _ in range(3):
            server.tick()
        assert cluster.pods()[Queue.SCORE] == Pods(asked=True, there=replicas, ready=replicas, wanted=2)


def test_scale_asks_for_all_replicas_and_only_when_something_changes(server: ApiServer) -> None:
    cluster = server.cluster()
    cluster.scale(Queue.SCORE, up=True)
    assert server.replicas["prm"] == 2
    server.used.clear()
    cluster.scale(Queue.SCORE, up=True)
    assert server.used == {("get", "apps", "deployments/scale")}


def test_a_job_is_made_once_for_an_attempt(server: ApiServer) -> None:
    cluster = server.cluster()
    assert [cluster.start_training("r-1-000007", epoch) for epoch in (0, 0, 1)] == [None] * 3
    assert len(server.made) == len(server.jobs) == 2, "one that goes on is left alone"
    assert all(len(name) <= 63 and name.startswith("m-train-") for name in server.jobs)
    assert {env_of(job)["MSTAR_TRAINER_STEP"] for job in server.jobs.values()} == {"r-1-000007"}


def test_a_pod_of_a_job_that_ended_holds_no_gpu(server: ApiServer) -> None:
    cluster = server.cluster()
    cluster.start_training("r-1-000007", 0)
    assert cluster.pods()[Queue.TRAIN].there == 1
    server.end_training(exit_code=1)
    assert cluster.pods()[Queue.TRAIN] == Pods()


def test_an_attempt_that_failed_is_told_with_its_last_words_and_makes_room_for_the_next(server: ApiServer) -> None:
    cluster = server.cluster()
    cluster.start_training("r-1-000007", 0)
    (name,) = server.jobs
    server.end_training(exit_code=1, log="x" * 2000 + "\nImportError: no module named deepspeed\n")
    said = cluster.start_training("r-1-000007", 0)
    assert said is not None and said.startswith(f"Job {name} ended before it took the step (Failed); {name}-0-x7k2p")
    assert "exit code 1, Error: xxx" in said and said.endswith("ImportError: no module named deepspeed")
    assert len(said) < 600 and len(server.made) == 1
    assert cluster.start_training("r-1-000007", 1) is None
    assert name not in server.jobs and len(server.jobs) == 1
    assert [pod for pod in server.pods if pod["metadata"]["name"].startswith(name)] == [], "pods go with their Job"


def test_a_missing_template_and_a_missing_cluster_are_told(server: ApiServer, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"job template nothing\.yaml cannot be read|nothing\.yaml"):
        server.cluster(tmp_path / "nothing.yaml").start_training("r-1-000007", 0)
    with pytest.raises(InvalidInput, match="gpu_sharing=dedicated"):
        KubernetesCluster(HelmRelease("ns", "this", "m", {}, tmp_path / "job.yaml"))


def test_an_api_server_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    with ApiServer(tmp_path) as server:
        cluster = server.cluster()
    with pytest.raises(Unavailable, match="can't be reached"):
        cluster.pods()


def test_a_kind_that_the_cluster_lacks_is_named(server: ApiServer, tmp_path: Path) -> None:
    job = tmp_path / "unknown.yaml"
    job.write_text(
        "apiVersion: batch.example.org/v1\nkind: Job\nmetadata: {}\n"
        "spec: {template: {spec: {containers: [{name: trainer, env: []}]}}}\n"
    )
    with pytest.raises(
        Unavailable,
        match=r"jobs\.batch\.example\.org \(batch\.example\.org/v1\): install its operator and CRD",
    ):
        server.cluster(job).start_training("r-1-000001", 0)


def test_what_the_cluster_refuses_is_named_with_its_words(tmp_path: Path) -> None:
    words = json.dumps({"kind": "Status", "message": 'deployments.apps "m-prm" is forbidden: cannot patch'}).encode()
    with RawServer(http(403, words)) as refusing:
        api = client.ApiClient(client.Configuration(host=refusing.url))
        cluster = KubernetesCluster(HelmRelease("ns", "this", "m", {Queue.SCORE: 2}, tmp_path / "job.yaml"), api)
        with pytest.raises(Unavailable, match=r"read the scale of deployment m-prm: 403 .*is forbidden: cannot patch"):
            cluster.scale(Queue.SCORE, up=True)
        with pytest.raises(Unavailable, match="refuses to list pods: 403"):
            cluster.pods()
        cluster.close()
