"""Every container of the chart as a process of this machine: own commands, own environments, until its probes pass.

Then the chart's test hooks run against them. What this leaves out: a whole run, which goes through the same processes
in the test of the compose file, and the queue's own client, whose place a small one takes.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chart_bench import OPENING, jobs, named
from local_release import PORTS, LocalRelease, outside
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.cluster.workloads import filled
from policy_bench import checkpoint

QUEUES = {"CPU": "valkey", "CPU in place": "redis", "default": "valkey"}
"""Opening → the image that its queue has."""
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


every = pytest.mark.parametrize("release", QUEUES, indirect=True, scope="module")
in_turns = pytest.mark.parametrize("release", ["default"], indirect=True, scope="module")
with_the_gpus = pytest.mark.parametrize("release", ["CPU", "default"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRelease]:
    home = tmp_path_factory.mktemp("release")
    made = LocalRelease(home, OPENING[request.param], QUEUES[request.param])
    with ExitStack() as children:
        made.start(children)
        yield made


def waits_for_weights(release: LocalRelease, name: str) -> bool:
    """Whether people come to these pods, which are not ready without weights."""
    service = named(release.objects, "Service")["demo-mstar-prm"]["spec"]
    return name == "prm" == service["selector"]["app.kubernetes.io/component"]


@pytest.mark.system
@every
def test_the_probes_of_every_container_pass(release: LocalRelease) -> None:
    containers = release.containers("Deployment") | release.containers("StatefulSet")
    assert {"redis", "coordinator", "policy", "prm", "worker-rollout", "worker-score"} <= set(containers)
    for name, container in containers.items():
        probes = [container[kind] for kind in PROBES if kind in container]
        if waits_for_weights(release, name):
            probes.remove(container["readinessProbe"])
        assert len(probes) >= 2
        for probe in probes:
            release.until(partial(release.passes, name, container, probe))


@pytest.mark.system
@every
def test_before_their_first_work_model_services_live_and_have_no_weights(release: LocalRelease) -> None:
    """Weights come with the first work, so a probe that asked for them would keep that work away."""
    for name in ("policy", "prm"):
        release.until_answers(name, "/livez")
        container = release.containers("Deployment")[name]
        asked = {container[kind]["httpGet"]["path"] for kind in PROBES if kind in container}
        assert "/livez" in asked and ("/readyz" in asked) is waits_for_weights(release, name)
        assert httpx2.get(f"{release.urls[name]}/readyz").status_code == 503


@pytest.mark.system
@every
def test_a_probe_of_the_queue_fails_without_its_password(release: LocalRelease) -> None:
    queue = release.containers("StatefulSet")["redis"]
    release.until(partial(release.passes, "redis", queue, queue["readinessProbe"]))
    wrong = queue | {"env": [{"name": "REDIS_PASSWORD", "value": "another"}]}
    assert not release.passes("redis", wrong, queue["readinessProbe"])


@pytest.mark.system
@every
def test_every_worker_waits_at_the_queue(release: LocalRelease) -> None:
    workers = set(release.containers("Deployment")) - set(PORTS)
    assert workers - {"trainer"} == {"worker-rollout", "worker-score"}
    with release.broker() as broker:
        release.until(lambda: sum(one["cmd"] == "brpop" for one in broker.client_list()) >= len(workers))


@pytest.mark.system
@every
def test_the_hooks_of_helm_test_pass(release: LocalRelease) -> None:
    for name in ("coordinator", "prm"):
        release.until_answers(name, "/livez")
    checks = named(release.objects, "Pod")
    assert len(checks) == 5
    for name in sorted(checks, key=lambda one: (checks[one]["metadata"]["annotations"]["helm.sh/hook-weight"], one)):
        hook(release, checks[name])
    assert not list((release.home / "data").glob(".helm-test*"))


@pytest.mark.system
@with_the_gpus
def test_the_scoring_hook_scores_as_soon_as_the_prm_has_weights(release: LocalRelease) -> None:
    release.until_answers("prm", "/livez")
    check = named(release.objects, "Pod")["demo-mstar-test-score"]
    prm = release.containers("Deployment")["prm"]
    direct = waits_for_weights(release, "prm")
    assert ("readinessProbe" in prm) is direct
    assert "no weights are loaded" in hook(release, check)
    if direct:
        assert not release.passes("prm", prm, prm["readinessProbe"])
    ref = checkpoint(ArtefactStore(release.home / "data"), "r1/prm/train", seed=1)
    key = release.environment(prm)["MSTAR_PRM_WEIGHTS_ADMIN_KEY"]
    update = {"artefact": ref.id, "manifest_sha256": ref.sha256}
    loaded = httpx2.put(
        f"{release.urls['prm']}/v1/weights", json=update, headers={"authorization": f"Bearer {key}"}, timeout=60
    )
    assert loaded.status_code == 200, loaded.text
    assert hook(release, check).startswith(ref.version)
    if direct:
        assert release.passes("prm", prm, prm["readinessProbe"])


@pytest.mark.system
@in_turns
def test_in_turns_the_coordinator_scales_who_is_not_needed(release: LocalRelease) -> None:
    there = [("Deployment", f"demo-mstar-{name}") for name in ("policy", "prm")]
    release.until(lambda: all(release.cluster.there()[key]["spec"]["replicas"] == 0 for key in there))


@pytest.mark.system
@in_turns
def test_the_container_of_a_training_asks_for_its_step_and_ends(release: LocalRelease) -> None:
    release.until_answers("coordinator", "/livez")
    job = filled(jobs(release.objects)[0], "train-1", "r-1-000007", 0)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    environment = outside() | release.values("train", container)
    done = subprocess.run(release.command(container), env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-800:]
    assert "step not claimed" in done.stderr and "'r-1-000007' does not exist" in done.stderr


@pytest.mark.system
def test_scoring_of_its_own_is_ready_with_its_model(tmp_path: Path) -> None:
    values = {"scoring": {"own": True, "model": "/data/r1/prm/train/model"}}
    release = LocalRelease(tmp_path, values)
    (tmp_path / "data").mkdir()
    checkpoint(ArtefactStore(tmp_path / "data"), "r1/prm/train", seed=1)
    with ExitStack() as children:
        release.start(children, only={"scoring"})
        container = release.containers("Deployment")["scoring"]
        for kind in PROBES:
            release.until(partial(release.passes, "scoring", container, container[kind]))
        assert "[[" in hook(release, named(release.objects, "Pod")["demo-mstar-test-score"])


def hook(release: LocalRelease, pod: dict[str, Any]) -> str:
    """What a hook's container prints when it is run here; it must succeed."""
    (container,) = pod["spec"]["containers"]
    command = [sys.executable, *(release.here(part) for part in container["command"][1:])]
    environment = outside() | release.environment(container)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{pod['metadata']['name']}: {done.stderr[-800:]}"
    return done.stdout
