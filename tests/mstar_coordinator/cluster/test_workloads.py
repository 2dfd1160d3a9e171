"""The chart's templates, filled in: each kind's own place for variables, nodes and the first node's name."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart_bench import named, render
from coordinator_bench import SMALL, HandClock, MemoryPublisher
from mstar.errors import InvalidInput
from mstar_coordinator.api.app import build_app
from mstar_coordinator.cluster.workloads import filled, training_nodes
from mstar_coordinator.config import CoordinatorSettings, GpuSharing
from mstar_coordinator.store.database import open_store
from web_bench import ask


def template(kind: str, nodes: int) -> dict[str, Any]:
    """As the chart renders it."""
    objects = render({"trainer": {"workload": kind, "nodes": nodes}})
    found: dict[str, Any] = yaml.safe_load(
        named(objects, "ConfigMap")["demo-mstar-trainer-job"]["data"]["trainer-job.yaml"]
    )
    return found


def variables(body: dict[str, Any]) -> dict[str, str]:
    """Those of the container, wherever the kind keeps them."""
    spec = body["spec"]
    if body["kind"] == "TrainJob":
        environment = spec["trainer"]["env"]
    else:
        job = spec if body["kind"] == "Job" else spec["replicatedJobs"][0]["template"]["spec"]
        environment = job["template"]["spec"]["containers"][0]["env"]
    return {one["name"]: one["value"] for one in environment if "value" in one}


@pytest.mark.parametrize("kind", ["Job", "JobSet", "TrainJob"])
def test_one_node_is_told_its_step_only(kind: str) -> None:
    given = template(kind, 1)
    before = copy.deepcopy(given)
    made = filled(given, "train-1", "r-1-000007", 0)
    assert made["metadata"]["name"] == "train-1"
    assert variables(made)["MSTAR_TRAINER_STEP"] == "r-1-000007"
    assert not {"MSTAR_TRAINER_NODES", "MSTAR_TRAINER_FIRST_NODE"} & set(variables(made))
    assert given == before


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("Job", "train-1-0.demo-mstar-trainer"),
        ("JobSet", "train-1-node-0-0.train-1"),
        ("TrainJob", "train-1-node-0-0.train-1"),
    ],
)
def test_several_nodes_are_told_where_the_first_is_and_which_attempt_it_is(kind: str, first: str) -> None:
    given = variables(filled(template(kind, 4), "train-1", "r-1-000007", 2))
    assert given["MSTAR_TRAINER_NODES"] == "4"
    assert given["MSTAR_TRAINER_FIRST_NODE"] == first
    assert given["MSTAR_TRAINER_EPOCH"] == "3", "the lease that the first node will take"


def test_another_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="kind is CronJob: use one of Job, JobSet, TrainJob"):
        filled({"kind": "CronJob", "metadata": {}}, "n", "s", 0)


def settings(home: Path, kind: str, nodes: int, sharing: GpuSharing = GpuSharing.SCALE_TO_ZERO) -> CoordinatorSettings:
    (home / "job.yaml").write_text(yaml.safe_dump(template(kind, nodes)))
    given: dict[str, Any] = {"home": home, "data_root": home, "reserve_bytes": 0, "job_template": home / "job.yaml"}
    return CoordinatorSettings(broker_url="redis://unused", gpu_sharing=sharing, **given)


@pytest.mark.parametrize("kind", ["Job", "JobSet", "TrainJob"])
def test_a_recipe_that_nodes_cannot_share_is_refused_before_it_begins(kind: str, tmp_path: Path) -> None:
    given = settings(tmp_path, kind, 4)
    app = build_app(given, open_store(given.store_url()), MemoryPublisher(), HandClock())
    answer = ask(app, "POST", "/v1/runs", json={"recipe": json.loads(SMALL.model_dump_json())})
    assert (answer.status_code, answer.json()["field"]) == (422, "warmup.train.ranks")
    assert "the 4 nodes" in answer.json()["detail"] and "trainer.nodes=1" in answer.json()["detail"]


def test_without_jobs_one_node_trains(tmp_path: Path) -> None:
    assert training_nodes(settings(tmp_path, "Job", 3)) == 3
    assert training_nodes(settings(tmp_path, "Job", 3, GpuSharing.DEDICATED)) == 1
