"""Helm's own install, upgrade and uninstall of the chart, on an API server that refuses what a real one refuses.

What this leaves out: pods that really start, which the tests of processes cover, and a cluster's own admission.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from chart_bench import OPENING, offline, render
from helm_session import HelmSession, Refused
from mstar.steps import Queue
from mstar_coordinator.cluster.kubernetes import HelmRelease, KubernetesCluster
from object_server import FIXED, ObjectServer, fixed

GOLDEN = Path(__file__).with_name("immutable.yaml")
IN_TURNS = {"gpuSharing": {"mode": "scaleToZero"}}
DEDICATED = {"gpuSharing": {"mode": "dedicated"}}
TURNS = ("demo-mstar-policy", "demo-mstar-prm")


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with ObjectServer() as made:
        yield made


@pytest.fixture
def helm(server: ObjectServer, tmp_path: Path) -> Iterator[HelmSession]:
    with HelmSession(server.url, tmp_path) as made:
        yield made


def kept(objects: dict[tuple[str, str], dict[str, Any]]) -> set[tuple[str, str]]:
    """Those that say so."""
    notes = {key: one["metadata"].get("annotations", {}) for key, one in objects.items()}
    return {key for key, said in notes.items() if said.get("helm.sh/resource-policy") == "keep"}


def secrets(server: ObjectServer) -> dict[str, Any]:
    return {name: one["data"] for (kind, name), one in server.there().items() if kind == "Secret"}


def replicas(server: ObjectServer) -> list[int]:
    there = server.there()
    return [there["Deployment", name]["spec"]["replicas"] for name in TURNS]


def coordinator(server: ObjectServer) -> KubernetesCluster:
    """The coordinator's own way to the cluster."""
    settings = client.Configuration(host=server.url)
    settings.retries = False
    release = HelmRelease("ns", "demo", "demo-mstar", {Queue.ROLLOUT: 1, Queue.SCORE: 1}, Path("unused"))
    return KubernetesCluster(release, client.ApiClient(settings))


def api(server: ObjectServer) -> client.AppsV1Api:
    return client.AppsV1Api(client.ApiClient(client.Configuration(host=server.url)))


def all_stop(server: ObjectServer) -> None:
    """As between two runs."""
    cluster = coordinator(server)
    for queue in (Queue.ROLLOUT, Queue.SCORE):
        cluster.scale(queue, up=False)
    cluster.close()


@pytest.mark.parametrize("opening", ["default", "dedicated", "nodes", "colocated", "Kubeflow", "full"])
def test_uninstall_leaves_what_is_marked_and_nothing_else(
    opening: str, server: ObjectServer, helm: HelmSession
) -> None:
    values = {name: value for name, value in OPENING[opening].items() if name != "fullnameOverride"}
    helm.install("demo", values)
    rendered = {(one["kind"], one["metadata"]["name"]) for one in render(values) if "helm.sh/hook" not in str(one)}
    assert set(server.there()) - rendered == {("PersistentVolumeClaim", "queue-demo-mstar-redis-0")}
    helm.upgrade("demo", values)
    marked = kept(server.there())
    assert len(marked) == 4
    helm.uninstall("demo")
    assert set(server.there()) == marked


def test_the_queue_can_be_kept_too(server: ObjectServer, helm: HelmSession) -> None:
    helm.install("demo", {"redis": {"keepClaim": True}})
    marked = kept(server.there())
    said = helm.uninstall("demo")["release"]["notes"]
    assert set(server.there()) == marked | {("PersistentVolumeClaim", "queue-demo-mstar-redis-0")}
    assert "leaves the artefacts, the database, the queue and the secrets" in said


def test_made_keys_outlive_an_upgrade_and_an_uninstall(server: ObjectServer, helm: HelmSession) -> None:
    helm.install("demo")
    made = secrets(server)
    assert set(made) == {"demo-mstar-keys", "demo-mstar-redis"}
    values = list(made["demo-mstar-keys"].values())
    assert len(set(values)) == len(values) == 5
    helm.upgrade("demo", {"image": {"tag": "0.2.0"}})
    assert secrets(server) == made
    helm.uninstall("demo")
    helm.install("demo")
    assert secrets(server) == made


def test_a_key_that_is_given_later_replaces_the_made_one_and_no_other(server: ObjectServer, helm: HelmSession) -> None:
    helm.install("demo")
    before = secrets(server)["demo-mstar-keys"]
    helm.upgrade("demo", {"keys": {"score": "s" * 20}})
    after = secrets(server)["demo-mstar-keys"]
    assert {name for name in after if after[name] != before[name]} == {"score-key"}


def test_a_secret_of_ones_own_that_changes_restarts_who_reads_it(server: ObjectServer, helm: HelmSession) -> None:
    core = client.CoreV1Api(client.ApiClient(client.Configuration(host=server.url)))
    values = DEDICATED | {"keys": {"existingSecret": "k"}, "redis": {"existingSecret": "r"}}

    def templates() -> dict[str, Any]:
        sets = {name: one for (kind, name), one in server.there().items() if kind in ("Deployment", "StatefulSet")}
        return {name.removeprefix("demo-mstar-"): one["spec"]["template"] for name, one in sets.items()}

    for name in ("k", "r"):
        core.create_namespaced_secret("ns", {"kind": "Secret", "metadata": {"name": name}})
    seen = []
    for key, password in (("a", "a"), ("a", "a"), ("a", "b"), ("b", "b")):
        core.patch_namespaced_secret("k", "ns", {"stringData": {"score-key": key}})
        core.patch_namespaced_secret("r", "ns", {"stringData": {"password": password}})
        (helm.upgrade if seen else helm.install)("demo", values)
        seen.append(templates())
    changed = [{one for one in now if now[one] != before[one]} for before, now in pairwise(seen)]
    at_the_queue = {"redis", "coordinator", "worker-rollout", "worker-score", "trainer"}
    assert changed == [set(), at_the_queue, (at_the_queue | {"policy", "prm"}) - {"redis"}]


def test_a_second_release_beside_the_first_shares_nothing_with_it(server: ObjectServer, helm: HelmSession) -> None:
    helm.install("demo")
    first = server.there()
    helm.install("other")
    helm.upgrade("other", DEDICATED)
    assert {key: one for key, one in server.there().items() if key in first} == first
    helm.uninstall("other")
    left = set(server.there()) - set(first)
    assert server.there().items() >= first.items() and left == kept(server.there()) - set(first)


def test_a_release_of_the_same_full_name_is_refused(server: ObjectServer, helm: HelmSession) -> None:
    helm.install("demo")
    with pytest.raises(Refused, match="cannot be imported into the current release"):
        helm.install("other", {"fullnameOverride": "demo-mstar"})


@pytest.mark.parametrize("opening", ["default", "dedicated", "nodes", "colocated", "full"])
def test_no_upgrade_meets_a_field_that_cannot_change(opening: str, server: ObjectServer, helm: HelmSession) -> None:
    values = {name: value for name, value in OPENING[opening].items() if name != "fullnameOverride"}
    helm.install("demo")
    helm.upgrade("demo", values | {"image": {"tag": "0.2.0"}, "networkPolicy": {"enabled": False}})
    images = [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in deployments(server)]
    assert images and all(":0.2.0" in image or "@" in image for image in images)
    # Without any values Helm takes those of before.
    helm.upgrade("demo", IN_TURNS)


def deployments(server: ObjectServer) -> list[dict[str, Any]]:
    return [one for (kind, _), one in server.there().items() if kind == "Deployment"]


def test_the_server_refuses_what_cannot_change(server: ObjectServer, helm: HelmSession) -> None:
    helm.install("demo")
    with pytest.raises(Refused, match="StatefulSet demo-mstar-redis is invalid: field is immutable"):
        helm.upgrade("demo", {"redis": {"size": "8Gi"}})
    api(server).delete_namespaced_stateful_set("demo-mstar-redis", "ns")
    helm.upgrade("demo", {"redis": {"size": "8Gi"}})
    claim = server.there()["PersistentVolumeClaim", "queue-demo-mstar-redis-0"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "8Gi"


def test_names_selectors_and_claims_are_those_of_the_last_version() -> None:
    """Change `immutable.yaml` by hand, and say in UPGRADE.md how what is there is moved."""
    now: dict[str, Any] = {}
    named_by_content = {"ResourceClaimTemplate"}
    for opening in ("default", "dedicated", "nodes", "colocated", "Kubeflow"):
        for one in render(OPENING[opening]):
            if one["kind"] in {*FIXED, "Secret"} - named_by_content:
                now[f"{one['kind']} {one['metadata']['name']}"] = fixed(one)
    assert now == yaml.safe_load(GOLDEN.read_text())


@pytest.mark.parametrize(
    ("version", "gpus", "allowed"), [("v1.33.9", 1, False), ("v1.33.9", 0, True), ("v1.34.0", 1, True)]
)
def test_containers_share_gpus_only_where_kubernetes_can(
    version: str, gpus: int, allowed: bool, tmp_path: Path
) -> None:
    values = {"gpuSharing": {"mode": "colocated", "gpus": gpus}}
    with ObjectServer(version) as server, HelmSession(server.url, tmp_path) as helm:
        if allowed:
            helm.install("demo", values)
        else:
            with pytest.raises(Refused, match=rf"gpuSharing\.mode is colocated.* {version}: set gpuSharing\.mode="):
                helm.install("demo", values)


def test_a_workload_that_the_cluster_does_not_know_is_refused(server: ObjectServer, helm: HelmSession) -> None:
    job_set = {"trainer": {"workload": "JobSet"}}
    with pytest.raises(
        Refused, match=r"has no jobset\.x-k8s\.io/v1alpha2: install the JobSet controller .*workload=Job"
    ):
        helm.install("demo", job_set)
    assert server.there() == {}
    helm.install("demo", offline(job_set))


def test_a_kubernetes_that_is_too_old_is_refused(tmp_path: Path) -> None:
    with ObjectServer("v1.29.0") as server, HelmSession(server.url, tmp_path) as helm:
        with pytest.raises(Refused, match=r"requires kubeVersion: >=1\.30"):
            helm.install("demo")
        assert server.there() == {}


def test_an_upgrade_leaves_the_pods_that_the_coordinator_has_scaled(server: ObjectServer, helm: HelmSession) -> None:
    helm.install("demo")
    assert replicas(server) == [1, 1]
    all_stop(server)
    helm.upgrade("demo", {"image": {"tag": "0.2.0"}})
    assert replicas(server) == [0, 0]


def test_gpus_of_their_own_after_turns_need_force(server: ObjectServer, helm: HelmSession) -> None:
    helm.install("demo")
    all_stop(server)
    with pytest.raises(Refused, match=r"conflict with \"OpenAPI-Generator\".*\.spec\.replicas"):
        helm.upgrade("demo", DEDICATED)
    helm.upgrade("demo", DEDICATED, force=True)
    assert replicas(server) == [1, 1]
    helm.upgrade("demo", DEDICATED | {"policy": {"replicas": 2}})
    assert replicas(server) == [2, 1]


def test_or_the_deployments_are_deleted_first(server: ObjectServer, helm: HelmSession) -> None:
    helm.install("demo")
    all_stop(server)
    for name in TURNS:
        api(server).delete_namespaced_deployment(name, "ns")
    helm.upgrade("demo", DEDICATED)
    assert replicas(server) == [1, 1]


def test_turns_after_gpus_of_their_own_need_nothing(server: ObjectServer, helm: HelmSession) -> None:
    helm.install("demo", DEDICATED | {"policy": {"replicas": 2}})
    helm.upgrade("demo", IN_TURNS)
    assert replicas(server) == [1, 1]
    all_stop(server)
    helm.upgrade("demo", IN_TURNS)
    assert replicas(server) == [0, 0] and ("Deployment", "demo-mstar-trainer") not in server.there()
