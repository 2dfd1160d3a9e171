"""The chart as the real Helm library renders it."""

from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart

CHART = Path(__file__).parents[2] / "charts" / "mstar"
OPENING: dict[str, dict[str, Any]] = {
    "default": {},
    "dedicated": {"gpuSharing": {"mode": "dedicated"}},
    "nodes": {"trainer": {"nodes": 4}, "scoring": {"own": True, "model": "/data/prm"}},
    "colocated": {"gpuSharing": {"mode": "colocated", "gpus": 8}, "metrics": {"serviceMonitor": True}},
    "CPU in place": {"gpuSharing": {"mode": "colocated", "gpus": 0}, "policy": {"engine": "transformers"}},
    "Kubeflow": {"trainer": {"nodes": 2, "workload": "TrainJob"}},
    "one GPU box": {"storage": {"accessMode": "ReadWriteOnce", "pinToNode": "node-1"}},
    "object store": {
        "storage": {
            "s3": {
                "bucketUrl": "s3://bucket/below",
                "endpoint": "http://minio.storage:9000",
                "region": "eu-west-1",
                "existingSecret": "my-s3",
                "cacheGigabytes": 20,
            }
        }
    },
    "CPU": {
        "gpuSharing": {"mode": "dedicated"},
        "policy": {"gpus": 0, "engine": "transformers"},
        "prm": {"gpus": 0},
        "trainer": {"gpus": 0},
    },
    "everything elsewhere": {
        "keys": {"existingSecret": "my-keys"},
        "storage": {"existingClaim": "my-claim"},
        "database": {"existingSecret": "my-database"},
        "redis": {"enabled": False, "externalSecret": "my-redis"},
        "image": {"registry": "registry.example.org/", "pullSecrets": [{"name": "pull"}]},
    },
    "full": {
        "fullnameOverride": "evolve",
        "policy": {"replicas": 3, "gpus": 2, "runtimeClassName": "nvidia", "tolerations": [{"operator": "Exists"}]},
        "prm": {"replicas": 2, "image": {"digest": "sha256:" + "a" * 64}},
        "workers": {"rollout": 6, "nodeSelector": {"pool": "cpu"}},
        "coordinator": {"priorityClassName": "high", "extraEnv": [{"name": "TZ", "value": "UTC"}]},
        "metrics": {"serviceMonitor": True, "prometheusRule": True, "dashboard": True, "labels": {"release": "stack"}},
        "networkPolicy": {"fromNamespaces": {"team": "data"}},
        "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-more"}}],
    },
}
"""Values that the chart is rendered with, by what they are for."""
FILES = {path.name: yaml.safe_load(path.read_text()) for path in sorted(CHART.glob("values-*.yaml"))}
"""Values files that the chart offers to begin with."""
OPENING |= FILES


def render(values: dict[str, Any] | None = None, name: str = "demo", **options: Any) -> list[dict[str, Any]]:
    """Every object of a release, test hooks too."""
    files = Chart.load(CHART).render(offline(values or {}), name=name, namespace="ns", **options)
    texts = [text for path, text in files.items() if path.endswith(".yaml")]
    # The parser in C takes a tenth of the time, and the chart is rendered hundreds of times.
    return [document for text in texts for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]


def offline(values: dict[str, Any]) -> dict[str, Any]:
    """The values where there is no cluster whose kinds could be looked up."""
    if values.get("trainer", {}).get("workload", "Job") == "Job":
        return values
    return values | {"trainer": {"checkWorkload": False} | values["trainer"]}


def notes(values: dict[str, Any] | None = None) -> str:
    files = Chart.load(CHART).render(values or {}, name="demo", namespace="ns")
    return next(text for path, text in files.items() if path.endswith("NOTES.txt"))


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Name → pod specification, of everything that makes pods."""
    found = {}
    for one in [*objects, *jobs(objects)]:
        if one["kind"] in ("Deployment", "StatefulSet", "Job"):
            found[one["metadata"]["name"]] = one["spec"]["template"]["spec"]
        elif one["kind"] == "Pod":
            found[one["metadata"]["name"]] = one["spec"]
    return found


def jobs(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The Job that the coordinator would make, under the name of its template; none where Kubeflow makes it."""
    texts = [one["data"].get("trainer-job.yaml") for one in named(objects, "ConfigMap").values() if "data" in one]
    found = [yaml.safe_load(text) for text in texts if text]
    return [job | {"metadata": job["metadata"] | {"name": "trainer-job"}} for job in found if job["kind"] == "Job"]


def named(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}
