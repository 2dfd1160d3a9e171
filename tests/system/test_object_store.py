"""The small run with artefacts and images in S3: every service has a disk of its own, and they meet in the bucket only.

The coordinator's disk has what is its own: database, run folder and what the run publishes. Two ranks train from
one cache, and the policy's is too small for the checkpoints that it serves one after the other.
"""

import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mstar.api.runs import RunCreate
from mstar.client import Client, Endpoint
from mstar.evolution import RunState
from mstar.results import RunResults
from mstar_embedded.ports import free_ports
from mstar_embedded.processes import ProcessSpec, stack
from mstar_embedded.supervisor import Supervisor
from s3_server import ACCESS, Bucket, s3_server
from small_run import TESTED

POLICY_CACHE = 16_000_000
MEETING = ("policy", "prm", "trainer", "worker-rollout", "worker-score")
"""Processes that share no disk."""


@dataclass(frozen=True)
class Ended:
    """What a run left: homes by process, keys in the bucket, what the coordinator said of it, and logs."""

    homes: Path
    keys: list[str]
    results: RunResults
    samples: dict[str, Any]
    logs: str

    @property
    def run_folder(self) -> Path:
        return self.homes / "coordinator" / self.results.id


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    homes = tmp_path_factory.mktemp("homes")
    with s3_server() as endpoint:
        yield _run(homes, Bucket(endpoint))


def _run(homes: Path, bucket: Bucket) -> Ended:
    ports, home = free_ports(), homes / "coordinator"
    overrides = TESTED | {"evolution.train.ranks": 2}
    with tempfile.TemporaryDirectory(prefix="mstar-") as folder:
        broker = Path(folder) / "b.sock"
        planned = stack(home, ports, broker, broker.exists)
        specs = [_apart(one, homes, bucket) for spec in planned for one in _with_own_control(spec)]
        with Supervisor(home, ports, specs=specs) as supervisor, Client(Endpoint(url=ports.coordinator_url)) as client:
            run_id = client.create_run(RunCreate(recipe="demo", overrides=overrides)).id
            while client.run(run_id).state is RunState.RUNNING and supervisor.failure is None:
                time.sleep(0.2)
            run, results = client.run(run_id), client.results(run_id)
            assert run.state is RunState.SUCCEEDED, run.error or supervisor.failure
            with urllib.request.urlopen(f"{ports.coordinator_url}/v1/runs/{run_id}/samples?iteration=1") as reply:
                samples = json.load(reply)
        logs = "".join(path.read_text() for path in supervisor.logs.iterdir())
    return Ended(homes, bucket.names(), results, samples, logs)


def _with_own_control(spec: ProcessSpec) -> Sequence[ProcessSpec]:
    """The worker that prepares and publishes, which is on the coordinator's disk, apart from the one that scores."""
    if spec.name != "worker-score":
        return [spec]
    queues = {"worker-control": "control", "worker-score": "score"}
    return [replace(spec, name=name, command=(*spec.command[:-1], own)) for name, own in queues.items()]


def _apart(spec: ProcessSpec, homes: Path, bucket: Bucket) -> ProcessSpec:
    """With a home of its own where it may have one, and artefacts in the bucket."""
    if spec.name == "broker":
        return spec
    prefix = next(key for key in spec.env if key.endswith("_HOME")).removesuffix("HOME")
    given = {f"{prefix}ARTEFACTS": bucket.url, f"{prefix}ARTEFACTS_ENDPOINT": bucket.endpoint}
    if spec.name in MEETING:
        given[f"{prefix}HOME"] = str(homes / spec.name)
    if spec.name == "policy":
        given[f"{prefix}ARTEFACTS_CACHE_GIGABYTES"] = str(POLICY_CACHE / 10**9)
    return replace(spec, env={**spec.env, **given, **ACCESS})


@pytest.mark.system
def test_the_run_ends_with_all_that_it_promises_on_the_coordinators_disk(ended: Ended) -> None:
    assert [one.index for one in ended.results.iterations] == [1, 2]
    for name in ("policy", "prm"):
        assert (ended.run_folder / name / "model.safetensors").is_file()
    for name in ("cot_dataset", "prm_dataset"):
        assert any((ended.run_folder / name / "images").iterdir())
    assert ended.results.id in (ended.run_folder / "report.html").read_text()
    assert ended.samples["data"][0]["responses"]


@pytest.mark.system
def test_every_artefact_is_in_the_bucket_and_none_in_a_run_folder(ended: Ended) -> None:
    run = f"artefacts/{ended.results.id}"
    steps = (
        "prepare",
        "warmup/train",
        "reward/train",
        "it01/generate/0000",
        "it01/select/0000",
        "it01/train",
        "it02/train",
    )
    assert {f"{run}/{step}/manifest.json" for step in steps} <= set(ended.keys)
    assert any(key.startswith("images/") for key in ended.keys)
    assert not list(ended.run_folder.rglob("manifest.json"))


@pytest.mark.system
def test_services_keep_nothing_but_a_cache(ended: Ended) -> None:
    for name in MEETING:
        assert [path.name for path in (ended.homes / name).iterdir()] == [".mstar"]
        assert [path.name for path in (ended.homes / name / ".mstar").iterdir()] == ["cache"]


@pytest.mark.system
def test_the_policy_fetches_weights_only_and_lets_old_ones_go(ended: Ended) -> None:
    files = [path for path in (ended.homes / "policy").rglob("*") if path.is_file()]
    assert any(path.suffix == ".safetensors" for path in files)
    assert not [path for path in files if path.parent.name == "optimizer"]
    assert sum(path.stat().st_size for path in files) <= POLICY_CACHE


@pytest.mark.system
def test_no_log_shows_a_secret(ended: Ended) -> None:
    assert "step committed" in ended.logs
    assert ACCESS["AWS_SECRET_ACCESS_KEY"] not in ended.logs
