"""What linters from outside say of the rendered chart: checkov, a PromQL parser, the Prometheus Operator's own types.

They live in an environment of their own, which `make test` makes. Every exception from a rule has its reason here.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart_bench import CHART, OPENING, jobs, named, render
from mstar_coordinator.cluster.workloads import filled

LINTERS = Path(sys.prefix) / "linters" / "bin"
EVERYWHERE = r".*"
EXCEPTIONS = {
    # Rule → (resources, reason).
    "CKV_K8S_8": (r"Pod\..*-test-.*", "a hook of `helm test` runs once and ends: there is nothing to restart"),
    "CKV_K8S_9": (
        r"Deployment\..*-(trainer|worker-rollout|worker-score|policy|prm|gpus|coordinator)$|Pod\..*-test-.*",
        "no traffic is routed to workers, of which one may be in the coordinator's pod, and to hooks; who is given "
        "weights, or wakes up, is reached before it is ready",
    ),
    "CKV_K8S_11": (EVERYWHERE, "a CPU limit throttles what the node has free; requests share it out under pressure"),
    "CKV_K8S_15": (EVERYWHERE, "tags are versions that never move, and image.pullPolicy is there for other habits"),
    "CKV_K8S_21": (EVERYWHERE, "the namespace is the release's (`helm -n`), so no object names one"),
    "CKV_K8S_35": (
        EVERYWHERE,
        "all settings are environment variables; a pod's variables are no easier to read than its files",
    ),
    "CKV_K8S_38": (
        r"Deployment\..*-coordinator$",
        "where services take turns on GPUs the coordinator asks Kubernetes for them; its Role says what it may",
    ),
    "CKV_K8S_43": (
        EVERYWHERE,
        "images are built by the user, who alone knows digests; every image has a `digest` value",
    ),
}


def linter(name: str) -> str:
    assert (LINTERS / name).exists(), f"{LINTERS / name} is missing: `make test` makes it"
    return str(LINTERS / name)


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """(rule, resource) of everything that checkov finds in any opening."""
    folder = tmp_path_factory.mktemp("rendered")
    for name, values in OPENING.items():
        objects = render(values)
        (folder / f"{name.replace(' ', '-')}.yaml").write_text(yaml.safe_dump_all([*objects, *jobs(objects)]))
    command = [linter("checkov"), "--framework", "kubernetes", "--skip-download", "--compact", "-o", "json", "-d"]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=120)
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0 and report["summary"]["passed"] > 1000, report["summary"]
    return [(one["check_id"], one["resource"]) for one in report["results"]["failed_checks"]]


def test_checkov_finds_nothing_but_the_written_exceptions(findings: list[tuple[str, str]]) -> None:
    excused = {
        (rule, resource)
        for rule, resource in findings
        if rule in EXCEPTIONS and re.search(EXCEPTIONS[rule][0], resource.replace(".default.", "."))
    }
    assert sorted(set(findings) - excused) == []


def test_every_exception_is_still_needed(findings: list[tuple[str, str]]) -> None:
    assert {rule for rule, _ in findings} == set(EXCEPTIONS)


def test_expressions_and_operator_objects_are_well_formed() -> None:
    board = json.loads((CHART / "monitoring" / "dashboard.json").read_text())
    alerts = yaml.safe_load((CHART / "monitoring" / "alerts.yaml").read_text())["groups"][0]["rules"]
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    plain = [one.replace("$__rate_interval", "5m").replace("$namespace", ".*") for one in asked]
    operator = [one for one in render(OPENING["full"]) if one["apiVersion"] == "monitoring.coreos.com/v1"]
    assert {one["kind"] for one in operator} == {"ServiceMonitor", "PrometheusRule"}
    given = {"promql": plain + [alert["expr"] for alert in alerts], "objects": operator}
    assert complaints(given) == []


@pytest.mark.parametrize("nodes", [1, 4])
def test_what_kubeflow_and_jobset_are_given_is_well_formed(nodes: int) -> None:
    given = []
    for kind in ("JobSet", "TrainJob"):
        objects = render({"trainer": {"workload": kind, "nodes": nodes}})
        template = yaml.safe_load(named(objects, "ConfigMap")["demo-mstar-trainer-job"]["data"]["trainer-job.yaml"])
        given += [filled(template, "train-1", "r-1-000007", 0), *named(objects, "TrainingRuntime").values()]
    assert [one["kind"] for one in given] == ["JobSet", "TrainJob", "TrainingRuntime"]
    assert complaints({"promql": [], "objects": given}) == []


def complaints(given: dict[str, Any]) -> list[str]:
    """What the linters' environment has to say."""
    script = Path(__file__).with_name("foreign_checks.py")
    done = subprocess.run(
        [linter("python"), str(script)], input=json.dumps(given), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said: list[str] = json.loads(done.stdout)
    return said
