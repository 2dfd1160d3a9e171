"""The adapter against an API server on a socket: what it sees of pods, what it asks for, how it fails."""

from pathlib import Path

import pytest

from cluster_bench import ApiServer, env_of
from mstar.errors import InvalidInput, Unavailable
from mstar.phases import Pods
from mstar.steps import Queue
from mstar_coordinator.cluster.kubernetes_cluster import KubernetesCluster, Release


def test_pods_are_there_before_they_answer_and_until_they_are_gone(server: ApiServer) -> None:
    cluster = server.cluster()
    assert cluster.pods()[Queue.ROLLOUT] == Pods(asked=True, there=0, ready=0)
    server.tick()
    assert cluster.pods()[Queue.ROLLOUT] == Pods(asked=True, there=1, ready=0)
    server.tick()
    assert cluster.pods()[Queue.ROLLOUT] == Pods(asked=True, there=1, ready=1)
    cluster.scale(Queue.ROLLOUT, up=False)
    server.tick()
    assert cluster.pods()[Queue.ROLLOUT] == Pods(asked=False, there=1, ready=0)
    server.tick()
    assert cluster.pods()[Queue.ROLLOUT] == Pods()


def test_scale_asks_for_all_replicas_and_only_when_something_changes(server: ApiServer) -> None:
    cluster = server.cluster()
    cluster.scale(Queue.SCORE, up=True)
    assert server.replicas["prm"] == 2
    server.used.clear()
    cluster.scale(Queue.SCORE, up=True)
    assert server.used == {("get", "apps", "deployments/scale")}


def test_a_job_is_made_once_for_an_attempt(server: ApiServer) -> None:
    cluster = server.cluster()
    for epoch in (0, 0, 1):
        cluster.start_training("r-1-000007", epoch)
    assert len(server.jobs) == 2
    assert all(len(name) <= 63 and name.startswith("m-train-") for name in server.jobs)
    assert {env_of(job)["MSTAR_TRAINER_STEP"] for job in server.jobs.values()} == {"r-1-000007"}


def test_a_pod_of_a_job_that_ended_holds_no_gpu(server: ApiServer) -> None:
    cluster = server.cluster()
    cluster.start_training("r-1-000007", 0)
    assert cluster.pods()[Queue.TRAIN].there == 1
    server.pods[-1]["status"]["phase"] = "Failed"
    assert cluster.pods()[Queue.TRAIN] == Pods()


def test_a_missing_template_and_a_missing_cluster_are_told(server: ApiServer, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"job template nothing\.yaml cannot be read|nothing\.yaml"):
        server.cluster(tmp_path / "nothing.yaml").start_training("r-1-000007", 0)
    with pytest.raises(InvalidInput, match="gpu_sharing=dedicated"):
        KubernetesCluster(Release("ns", "this", "m", {}, tmp_path / "job.yaml"))


def test_an_api_server_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    with ApiServer(tmp_path) as server:
        cluster = server.cluster()
    with pytest.raises(Unavailable, match="can't be reached"):
        cluster.pods()
