"""The chart where services take turns on GPUs: what it leaves to the coordinator, and what it lets it do."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from chart_bench import named, pods, render
from cluster_bench import ApiServer
from mstar.steps import Queue

KINDS = ["Job", "JobSet", "TrainJob"]


def job_file(objects: list[dict[str, Any]]) -> str:
    """The template as the coordinator finds it."""
    return str(named(objects, "ConfigMap")["demo-mstar-trainer-job"]["data"]["trainer-job.yaml"])


def test_who_is_scaled_by_the_coordinator_has_no_replicas() -> None:
    deployments = named(render(), "Deployment")
    without = {name for name, one in deployments.items() if "replicas" not in one["spec"]}
    assert without == {"demo-mstar-policy", "demo-mstar-prm"}
    assert "demo-mstar-trainer" not in deployments
    own = {one["name"]: one.get("value") for one in pods(render())["demo-mstar-coordinator"]["containers"][0]["env"]}
    assert own["MSTAR_COORDINATOR_GPU_SHARING"] == "scaleToZero"
    assert own["MSTAR_COORDINATOR_CLUSTER_PREFIX"] == "demo-mstar"


def test_with_gpus_of_their_own_there_are_replicas_and_no_rights() -> None:
    objects = render({"gpuSharing": {"mode": "dedicated"}})
    assert all("replicas" in one["spec"] for one in named(objects, "Deployment").values())
    assert "demo-mstar-trainer" in named(objects, "Deployment")
    assert not [one for one in objects if one["kind"] in ("Role", "RoleBinding", "ServiceAccount", "ConfigMap")]


@pytest.mark.parametrize("kind", KINDS)
def test_the_role_allows_what_is_called_and_nothing_else(kind: str, tmp_path: Path) -> None:
    objects = render({"trainer": {"workload": kind}})
    (tmp_path / "chart.yaml").write_text(job_file(objects))
    with ApiServer(tmp_path) as server:
        cluster = server.cluster(tmp_path / "chart.yaml")
        cluster.pods()
        for queue in (Queue.ROLLOUT, Queue.SCORE):
            cluster.scale(queue, up=True)
            cluster.scale(queue, up=False)
        cluster.start_training("r-1-000007", 0)
        server.end_training(exit_code=1)
        assert str(cluster.start_training("r-1-000007", 0)).startswith(f"{kind} m-train-")
        cluster.start_training("r-1-000007", 1)
        assert len(server.made) == 2 and len(server.jobs) == 1
        called = server.used
        server.uninstall()
        assert server.jobs == {} and "trainer" not in server.holders()
    rules = named(objects, "Role")["demo-mstar-coordinator"]["rules"]
    allowed = {
        (verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert allowed == called
    assert rules[0]["resourceNames"] == ["demo-mstar-policy", "demo-mstar-prm"]
    (owners,) = (rule["resourceNames"] for rule in rules if rule["resources"] == ["configmaps"])
    assert owners == ["demo-mstar-trainer-job"] and set(owners) <= set(named(objects, "ConfigMap"))


def test_only_the_coordinator_gets_a_token() -> None:
    with_token = {name for name, pod in pods(render()).items() if pod["automountServiceAccountToken"]}
    assert with_token == {"demo-mstar-coordinator"}
    assert pods(render())["demo-mstar-coordinator"]["serviceAccountName"] == "demo-mstar-coordinator"
    binding = named(render(), "RoleBinding")["demo-mstar-coordinator"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "demo-mstar-coordinator", "namespace": "ns"}]


def test_a_training_is_never_repeated_by_kubernetes() -> None:
    for kind in KINDS:
        objects = render({"trainer": {"workload": kind}})
        text = job_file(objects) + yaml.safe_dump_all([one for one in objects if one["kind"] == "TrainingRuntime"])
        assert "backoffLimit: 0" in text and "restartPolicy: Never" in text


def test_what_a_training_said_last_can_be_told() -> None:
    for kind in KINDS:
        objects = render({"trainer": {"workload": kind}})
        text = job_file(objects) + yaml.safe_dump_all([one for one in objects if one["kind"] == "TrainingRuntime"])
        assert "terminationMessagePolicy: FallbackToLogsOnError" in text


def test_nodes_find_and_reach_each_other() -> None:
    objects = render({"trainer": {"nodes": 4}})
    job = yaml.safe_load(job_file(objects))["spec"]
    assert job["completions"] == job["parallelism"] == 4 and job["completionMode"] == "Indexed"
    service = named(objects, "Service")["demo-mstar-trainer"]["spec"]
    assert job["template"]["spec"]["subdomain"] == "demo-mstar-trainer"
    assert service["publishNotReadyAddresses"] and service["clusterIP"] == "None"
    assert service["selector"].items() <= job["template"]["metadata"]["labels"].items()
    (rule,) = named(objects, "NetworkPolicy")["demo-mstar-trainer"]["spec"]["ingress"]
    assert "ports" not in rule and rule["from"][0]["podSelector"]["matchLabels"] == service["selector"]
    assert "demo-mstar-trainer" not in named(render(), "NetworkPolicy") | named(render(), "Service")


@pytest.mark.parametrize(
    ("values", "who"),
    [
        ({}, "coordinator"),
        ({"gpuSharing": {"mode": "dedicated"}}, "prm"),
        ({"gpuSharing": {"mode": "colocated"}}, "coordinator"),
        ({"scoring": {"own": True, "model": "/data/m"}}, "scoring"),
        ({"gpuSharing": {"mode": "dedicated"}, "scoring": {"own": True, "model": "/data/m"}}, "scoring"),
    ],
)
def test_people_reach_who_can_answer_them(values: dict[str, Any], who: str) -> None:
    objects = render(values)
    service = named(objects, "Service")["demo-mstar-prm"]["spec"]
    assert service["selector"]["app.kubernetes.io/component"] == who
    (rule,) = named(objects, "NetworkPolicy")[f"demo-mstar-{who}"]["spec"]["ingress"]
    assert {"podSelector": {}} in rule["from"]
    given = {one["name"]: one for one in pods(objects)["demo-mstar-coordinator"]["containers"][0]["env"]}
    assert ("MSTAR_COORDINATOR_PRM_URL" in given) is ("MSTAR_COORDINATOR_SCORE_KEY" in given) is (who == "coordinator")
    protected = {one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] for one in _budgets(objects)}
    assert protected == {"coordinator", who}


def test_a_scoring_deployment_of_its_own_keeps_its_model_and_its_gpu() -> None:
    objects = render({"scoring": {"own": True, "model": "/data/m", "replicas": 2}})
    scoring = named(objects, "Deployment")["demo-mstar-scoring"]["spec"]
    container = scoring["template"]["spec"]["containers"][0]
    assert scoring["replicas"] == 2 and {"name": "MSTAR_PRM_MODEL", "value": "/data/m"} in container["env"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert container["image"] == pods(objects)["demo-mstar-prm"]["containers"][0]["image"]


def _budgets(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(named(objects, "PodDisruptionBudget").values())


def test_in_place_three_containers_share_the_gpus_of_one_pod() -> None:
    objects = render({"gpuSharing": {"mode": "colocated", "gpus": 8}})
    assert {"demo-mstar-policy", "demo-mstar-prm", "demo-mstar-trainer"}.isdisjoint(named(objects, "Deployment"))
    pod = pods(objects)["demo-mstar-gpus"]
    ((claim, template),) = named(objects, "ResourceClaimTemplate").items()
    assert pod["resourceClaims"] == [{"name": "gpus", "resourceClaimTemplateName": claim}]
    for container in pod["containers"]:
        assert container["resources"]["claims"] == [{"name": "gpus"}]
        assert "nvidia.com/gpu" not in container["resources"]["limits"]
    (wanted,) = template["spec"]["spec"]["devices"]["requests"]
    assert wanted["exactly"]["count"] == 8
    given = {one["name"]: one.get("value") for container in pod["containers"] for one in container["env"]}
    assert (given["MSTAR_POLICY_SLEEP_IN_PLACE"], given["MSTAR_TRAINER_RESIDENT"]) == ("true", "false")
    assert given["MSTAR_POLICY_TENSOR_PARALLEL"] == "8"
    coordinator = pods(objects)["demo-mstar-coordinator"]
    own = {one["name"]: one.get("value") for one in coordinator["containers"][0]["env"]}
    assert own["MSTAR_COORDINATOR_GPU_SHARING"] == "colocated" and not coordinator["automountServiceAccountToken"]
    assert "demo-mstar-coordinator" not in named(objects, "Role")


def test_in_place_the_network_knows_the_pod_by_what_it_is() -> None:
    policies = named(render({"gpuSharing": {"mode": "colocated"}}), "NetworkPolicy")

    def component(selector: dict[str, Any]) -> str:
        return str(selector.get("matchLabels", {}).get("app.kubernetes.io/component"))

    for name, port in (("policy", 8401), ("prm", 8402)):
        spec = policies[f"demo-mstar-{name}"]["spec"]
        assert component(spec["podSelector"]) == "gpus" and spec["ingress"][0]["ports"][0]["port"] == port
        assert "coordinator" in {component(one["podSelector"]) for one in spec["ingress"][0]["from"]}
    for name in ("redis", "coordinator"):
        (rule,) = policies[f"demo-mstar-{name}"]["spec"]["ingress"]
        assert "gpus" in {component(one["podSelector"]) for one in rule["from"]}, name
