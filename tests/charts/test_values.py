"""Values and schema agree both ways, and what could not run is refused with the value and the fix."""

import json
from typing import Any

import pytest
import yaml
from helm_python import Chart, HelmError

from chart_bench import CHART, named, pods, render

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())

OWN = {"own": True, "model": "/data/m"}
COLOCATED = {"gpuSharing": {"mode": "colocated", "gpus": 0}}


def disagreements(values: Any, schema: dict[str, Any], where: str = "") -> list[str]:
    """Keys that only one of the two has."""
    if not isinstance(values, dict) or "properties" not in schema:
        return []
    known = set(schema["properties"]) - {"global"}
    found = [f"{where}{key}" for key in sorted(known ^ set(values))]
    for key in known & set(values):
        found += disagreements(values[key], schema["properties"][key], f"{where}{key}.")
    return found


def test_values_and_schema_name_the_same_keys() -> None:
    # Requests and limits are Kubernetes' own, and may be left out.
    assert [key for key in disagreements(VALUES, SCHEMA) if not key.endswith(("requests", "limits"))] == []


@pytest.mark.parametrize(
    "values",
    [
        {"polcy": {}},
        {"policy": {"gpu": 1}},
        {"policy": {"gpus": "one"}},
        {"policy": {"engine": "fast"}},
        {"storage": {"accessMode": "ReadOnlyMany"}},
        {"storage": {"size": "much"}},
        {"storage": {"s3": {"bucketUrl": "https://bucket.s3.amazonaws.com"}}},
        {"storage": {"s3": {"endpoint": "https://user:secret@s3.example.org"}}},
        {"gpuSharing": {"mode": "timeslicing"}},
        {"trainer": {"workload": "MPIJob"}},
        {"trainer": {"gpuGigabytes": 0}},
        {"trainer": {"fourBit": "yes"}},
        {"scoring": {"own": True, "model": "https://example.org/prm"}},
        {"redis": {"image": {"tag": "latest"}}},
        {"image": {"registry": "registry.example.org"}},
        {"podSecurityContext": {"runAsUser": 0}},
        {"podSecurityContext": {"runAsNonRoot": False}},
        {"podSecurityContext": {"privileged": True}},
        {"keys": {"score": "short"}},
        {"prm": {"image": {"digest": "sha256:1"}}},
        {"traces": {"endpoint": "collector:4318"}},
        {"traces": {"endpoint": "https://user:secret@collector"}},
        {"traces": {"share": 2}},
        {"signIn": {"issuer": "http://login.example.org"}},
        {"signIn": {"publicUrl": "mstar.example.org"}},
    ],
)
def test_the_schema_refuses_what_no_one_can_mean(values: dict[str, Any]) -> None:
    with pytest.raises(HelmError, match="schema"):
        render(values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"storage": {"accessMode": "ReadWriteOnce"}},
            r"storage\.accessMode .* set storage\.pinToNode .* storage\.oneNode",
        ),
        (
            {"storage": {"s3": {"endpoint": "http://s3:9000"}}},
            r"storage\.s3\.endpoint has no .* storage\.s3\.bucketUrl",
        ),
        ({"scoring": OWN, "storage": {"s3": {"bucketUrl": "s3://b-b"}}}, r"only the coordinator has a claim: mount"),
        ({"redis": {"enabled": False}}, r"redis\.enabled is false .* set redis\.externalSecret"),
        ({"redis": {"externalSecret": "x"}}, r"redis\.externalSecret has no effect .* redis\.enabled=false"),
        (
            {"signIn": {"issuer": "https://login.example.org"}},
            r"signIn\.issuer is set and signIn\.publicUrl is empty: set both",
        ),
        ({"traces": {"headersSecret": "x"}}, r"traces\.headersSecret has no effect .* traces\.endpoint"),
        ({"keys": {"existingSecret": "x", "score": "y" * 20}}, r"keys\.existingSecret and single keys"),
        ({"trainer": {"nodes": 2}, "gpuSharing": {"mode": "dedicated"}}, r"trainer\.nodes .* gpuSharing\.mode=scaleTo"),
        ({"trainer": {"workload": "JobSet"}, "gpuSharing": {"mode": "dedicated"}}, r"trainer\.workload has no effect"),
        ({"policy": {"replicas": 2}, "gpuSharing": {"mode": "colocated"}}, r"policy\.replicas .* gpuSharing\.gpus"),
        ({"scoring": {"own": True}}, r"scoring\.own is true .* set scoring\.model"),
        ({"scoring": {"model": "/data/m"}}, r"scoring\.model has no effect .* scoring\.own=true"),
        ({"policy": {"engine": "vllm", "gpus": 0}}, r"policy\.engine is vllm .* set policy\.gpus"),
        (COLOCATED | {"policy": {"engine": "vllm"}}, r"policy\.engine is vllm .* set gpuSharing\.gpus"),
        ({"policy": {"replicas": 0}}, r"policy\.replicas is 0.* set policy\.replicas to 1"),
        ({"prm": {"replicas": 0}}, r"prm\.replicas is 0.* set prm\.replicas to 1"),
        ({"workers": {"rollout": 0}}, r"workers\.rollout is 0.* set workers\.rollout to 1"),
        ({"workers": {"score": 0}}, r"workers\.score is 0.* set workers\.score to 1"),
        ({"scoring": OWN | {"replicas": 0}}, r"scoring\.replicas is 0.* set scoring\.replicas to 1"),
        ({"prm": {"gpus": 2}}, r"prm\.gpus is above 1 .* set prm\.gpus=1 .* prm\.engine=vllm"),
        ({"scoring": OWN | {"gpus": 2}}, r"scoring\.gpus is above 1 .* set scoring\.gpus=1 .* prm\.engine=vllm"),
        ({"prm": {"engine": "vllm", "gpus": 0}}, r"prm\.engine is vllm and prm\.gpus is 0: set prm\.gpus"),
        (COLOCATED | {"prm": {"engine": "vllm"}}, r"prm\.engine is vllm and gpuSharing\.gpus is 0: set gpuSharing"),
        ({"scoring": {"autoscaled": True}}, r"scoring\.autoscaled has no effect .* scoring\.own=true"),
        ({"image": {"tag": "latest"}}, r"image\.tag is latest.* set image\.tag to a version"),
        ({"prm": {"image": {"tag": "latest"}}}, r"prm\.image\.tag is latest.* set prm\.image\.tag to a version"),
        (
            {"trainer": {"workload": "JobSet", "checkWorkload": True}},
            r"trainer\.workload is JobSet.* no jobset\.x-k8s\.io/v1alpha2: install .* --api-versions",
        ),
        (
            {"trainer": {"workload": "TrainJob", "checkWorkload": True}},
            r"trainer\.workload is TrainJob.* install Kubeflow Trainer .* trainer\.checkWorkload=false",
        ),
        ({"scoring": OWN | {"model": "/models/prm"}}, r"scoring\.model is /models/prm.* a folder below /data"),
        ({"scoring": OWN | {"model": "/database"}}, r"scoring\.model is /database.* a folder below /data"),
        ({"scoring": OWN | {"model": "/data/../etc"}}, r"scoring\.model is /data/\.\./etc.* a folder below /data"),
        (
            {"redis": {"enabled": False, "externalSecret": "x", "existingSecret": "y"}},
            r"redis\.existingSecret has no eff",
        ),
        (
            {"keys": {"score": "s" * 20, "internal": "s" * 20}},
            r"keys\.internal and keys\.score are the same.* of its own",
        ),
        (COLOCATED | {"prm": {"nodeSelector": {"a": "b"}}}, r"prm\.nodeSelector has no effect .* set policy\.nodeSel"),
        (COLOCATED | {"trainer": {"tolerations": [{}]}}, r"trainer\.tolerations has no effect .* set policy\.toler"),
        (COLOCATED | {"trainer": {"runtimeClassName": "n"}}, r"trainer\.runtimeClassName .* set policy\.runtimeClassN"),
        (COLOCATED | {"prm": {"affinity": {"x": {}}}}, r"prm\.affinity has no effect .* set policy\.affinity"),
    ],
)
def test_what_could_not_run_is_refused_with_the_fix(values: dict[str, Any], said: str) -> None:
    with pytest.raises(HelmError, match=said):
        render(values)


def test_a_model_for_scoring_may_lie_on_a_volume_of_its_own() -> None:
    mount = {"name": "models", "mountPath": "/models"}
    model = {"model": "/models/prm", "extraVolumes": [{"name": "models", "emptyDir": {}}], "extraVolumeMounts": [mount]}
    (container,) = pods(render({"scoring": OWN | model}))["demo-mstar-scoring"]["containers"]
    assert {"name": "MSTAR_PRM_MODEL", "value": "/models/prm"} in container["env"] and mount in container[
        "volumeMounts"
    ]


def test_a_prm_over_several_gpus_says_so_to_its_engine() -> None:
    mode = {"gpuSharing": {"mode": "colocated", "gpus": 4}}
    for values, name, count in (({}, "demo-mstar-prm", "2"), (mode, "demo-mstar-gpus", "4")):
        containers = pods(render(values | {"prm": {"engine": "vllm", "gpus": 2}}))[name]["containers"]
        (env,) = (one["env"] for one in containers if one["name"] == "prm")
        assert {"name": "MSTAR_PRM_ENGINE", "value": "vllm"} in env
        assert {"name": "MSTAR_PRM_TENSOR_PARALLEL", "value": count} in env


def test_who_is_scaled_from_outside_has_no_replicas() -> None:
    for scoring, there in ((OWN, True), (OWN | {"autoscaled": True, "replicas": 0}, False)):
        deployment = named(render({"scoring": scoring}), "Deployment")["demo-mstar-scoring"]
        assert ("replicas" in deployment["spec"]) is there


def test_every_refusal_has_a_case_here() -> None:
    refusals = (CHART / "templates" / "validations.yaml").read_text().count("{{- fail ")
    cases = [mark for mark in test_what_could_not_run_is_refused_with_the_fix.pytestmark if mark.name == "parametrize"]
    # That of the cluster's version is in the tests of releases, which have a cluster.
    assert len({said for _, said in cases[0].args[1]}) >= refusals - 1 > 15


def test_the_chart_is_the_version_of_the_images() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert Chart.load(CHART) is not None
    assert chart["appVersion"] == chart["version"] == "0.1.0"
