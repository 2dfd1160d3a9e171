"""An upgrade from any set of values to any other ends where a fresh installation of the latter would have begun.

Helm's part is played here, so that every pair can be tried: server-side apply of what is rendered, then deletion of
what is no longer rendered. `test_releases.py` has Helm itself. What this leaves out: changes by other field managers.
"""

import copy
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from api_defaults import pod_templates
from chart_bench import FILES, OPENING, render
from field_owners import Owned
from object_server import ObjectServer, Refusal

SCORING = {"own": True, "model": "/data/prm"}
MODES = {name: values for name, values in OPENING.items() if name not in {"one GPU box", *FILES}} | {
    "JobSet": {"trainer": {"workload": "JobSet"}},
    "in place, one GPU": {"gpuSharing": {"mode": "colocated", "gpus": 1}},
    "scoring, autoscaled": {"scoring": SCORING | {"autoscaled": True}},
    "scoring, dedicated": {"scoring": SCORING, "gpuSharing": {"mode": "dedicated"}},
    "placed": {
        "policy": {"runtimeClassName": "nvidia", "priorityClassName": "high", "nodeSelector": {"gpu": "h100"}},
        "podSecurityContext": dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup")),
    },
}
"""Sets of values, without those whose claims have another access mode or size, which no upgrade can change."""


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[dict[str, Any]]]:
    return {name: [one for one in render(values) if "helm.sh/hook" not in str(one)] for name, values in MODES.items()}


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with ObjectServer() as made:
        yield made


def helm_applies(server: ObjectServer, objects: list[dict[str, Any]], before: list[dict[str, Any]]) -> None:
    """As `helm upgrade --force-conflicts` does. Raises Refusal."""
    for one in objects:
        server.apply(one, "helm")
    wanted = {_key(one) for one in objects}
    for one in before:
        kept = one["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
        if _key(one) not in wanted and not kept:
            server.delete(one)


def _key(one: dict[str, Any]) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


def state(server: ObjectServer, objects: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
    """What is there of these objects, without values that are made anew at every rendering."""
    there = server.there()
    found = {_key(one): copy.deepcopy(there[_key(one)]) for one in objects}
    for one in found.values():
        one.pop("data" if one["kind"] == "Secret" else "", None)
    return found


@pytest.mark.parametrize("first", MODES)
def test_every_upgrade_ends_as_a_fresh_installation(
    first: str, rendered: dict[str, list[dict[str, Any]]], server: ObjectServer
) -> None:
    for _, second in (pair for pair in permutations(MODES, 2) if pair[0] == first):
        server.objects.clear()
        helm_applies(server, rendered[second], [])
        fresh = state(server, rendered[second])
        server.objects.clear()
        helm_applies(server, rendered[first], [])
        helm_applies(server, rendered[second], rendered[first])
        upgraded = state(server, rendered[second])
        for key, one in fresh.items():
            assert upgraded[key] == one, f"{first} → {second}: {key}"
        accounts = {pod.get("serviceAccountName") for one in upgraded.values() for pod in pod_templates(one)}
        assert accounts <= {"default"} | {name for kind, name in server.there() if kind == "ServiceAccount"}


def deployment(**pod: Any) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/", "port": 80}}
    container = {"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}], "readinessProbe": probe}
    spec = {"containers": [container], "volumes": [{"name": "v", "configMap": {"name": "x"}}]} | pod
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"template": {"spec": spec}},
    }


def test_the_server_keeps_what_it_has_added_beside_what_goes(server: ObjectServer) -> None:
    server.apply(deployment(serviceAccountName="own"), "helm")
    server.apply(deployment(), "helm")
    (pod,) = pod_templates(server.there()["Deployment", "d"])
    assert pod["serviceAccountName"] == pod["serviceAccount"] == "own"
    recreated = deployment()
    recreated["spec"]["strategy"] = {"type": "Recreate"}
    with pytest.raises(Refusal, match="rollingUpdate: may not be specified"):
        server.apply(recreated, "helm")


def test_the_server_drops_what_it_has_added_to_what_goes(server: ObjectServer) -> None:
    server.apply(deployment(), "helm")
    after = deployment(volumes=[{"name": "v", "secret": {"secretName": "y"}}])
    del after["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    server.apply(after, "helm")
    (pod,) = pod_templates(server.there()["Deployment", "d"])
    assert pod["volumes"] == [{"name": "v", "secret": {"secretName": "y", "defaultMode": 420}}]
    assert "readinessProbe" not in pod["containers"][0]


def test_items_of_a_list_have_owners_of_their_own() -> None:
    kept = Owned()
    kept.apply(deployment(), "helm", force=False)
    env = [{"name": "B", "value": "2"}]
    injected = {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": env}]}}}}
    kept.apply(injected, "injector", force=False)
    without = deployment()
    without["spec"]["template"]["spec"]["containers"][0]["env"] = []
    kept.apply(without, "helm", force=False)
    assert kept.content["spec"]["template"]["spec"]["containers"][0]["env"] == env
