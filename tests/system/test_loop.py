"""The whole method in small, with real processes: broker, coordinator, workers, policy, PRM, trainer.

Its data is a set of LLaVA conversations as it is published, and two of its tests are benchmarks. Two processes are
killed on the way; the run ends as if nothing had happened, and nothing is left running. All of them export traces.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kept_spans import Collector, KeptSpan
from llava_set import write_llava
from processes import gone
from small_run import TESTED
from warm_starts import COLD_PYTHON

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "tests" / "cases" / "benchmarks" / "published"
OWN = ("train", "validation", "test_id", "test_ood")
SETS = {"mathvista": 3, "ai2d": 2}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[tuple[Path, dict[str, Any], list[int]]]:
    """A run during which policy and training were killed: its home, its results, and the pids of all its processes."""
    work = tmp_path_factory.mktemp("work")
    home = work / "runs"
    write_llava(work / "set", {split: TESTED[f"data.{split}"] + 5 for split in OWN})
    for name in ("MathVista", "AI2D"):
        shutil.copytree(PUBLISHED / name, work / "benchmarks" / name)
    overrides = {**TESTED, "data.source": "set", "evaluation.benchmarks": "benchmarks", "evaluation.sets": SETS}
    settings = [part for key, value in overrides.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    # Its children are looked for by their command lines.
    command = [COLD_PYTHON, "-c", "from mstar.cli import main; main()", "run", "start", "demo", *settings]
    env = {k: v for k, v in os.environ.items() if not k.startswith("MSTAR_")}
    env |= {"PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'services'}", "OMP_NUM_THREADS": "1"}
    env |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "500"}
    process = subprocess.Popen(
        [*command, "--home", str(home), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True,
        cwd=work,
    )  # fmt: skip
    try:
        pids = _kill_two(process, home)
        out, err = process.communicate(timeout=400)
    finally:
        process.kill()
    assert process.returncode == 0, err[-2000:]
    return home, json.loads(out), pids


def _kill_two(process: "subprocess.Popen[str]", home: Path) -> list[int]:
    """Kill the policy after the warm-up's first shard and the trainer within an iteration. Returns every pid seen.

    The trainer is killed after the iteration's first shard, once it works: it idles between steps, and to kill it then
    fails no attempt. No other step than the iteration's training can be under way at that moment.
    """
    pids: set[int] = set()
    for shard, module in (("warmup/select/0000", "mstar_policy"), ("it01/select/0000", "mstar_trainer.rank_main")):
        wanted = home / "latest" / shard
        _until(lambda wanted=wanted: wanted.exists() or process.poll() is not None, 200)  # type: ignore[misc]
        running = psutil.Process(process.pid).children(recursive=True)
        pids |= {child.pid for child in running}
        victim = next(child for child in running if module in child.cmdline())
        if module == "mstar_trainer.rank_main":
            spent = _cpu_seconds(victim)
            _until(lambda victim=victim, spent=spent: _cpu_seconds(victim) > spent + 0.1, 200)  # type: ignore[misc]
        os.kill(victim.pid, signal.SIGKILL)
    return sorted(pids)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.mark.system
@pytest.mark.faults("policy and training killed (SIGKILL) in one run", "the run succeeds, and nothing is left running")
def test_the_run_succeeds_though_processes_were_killed(finished: tuple[Path, dict[str, Any], list[int]]) -> None:
    _, results, _ = finished
    assert results["state"] == "succeeded"
    assert [one["index"] for one in results["iterations"]] == [1, 2]
    assert {"base", "warmup", "final"} <= set(results["test"])
    assert [sweep["iteration"] for sweep in results["sweeps"]] == [2]
    assert results["iterations"][1]["temperature"] == results["sweeps"][0]["chosen"]


@pytest.mark.system
def test_an_iteration_samples_from_the_policy_before_it(finished: tuple[Path, dict[str, Any], list[int]]) -> None:
    _, results, _ = finished
    first, second = results["iterations"]
    assert "/warmup/train@" in first["weight_version"]
    assert "/it01/train@" in second["weight_version"]
    assert first["responses"] == second["responses"] == 80


@pytest.mark.system
def test_the_run_leaves_what_it_promises(finished: tuple[Path, dict[str, Any], list[int]]) -> None:
    home, results, _ = finished
    folder = home / results["id"]
    assert json.loads((folder / "results.json").read_text())["state"] == "succeeded"
    assert (home / "latest").resolve() == folder.resolve()
    for name in ("policy", "prm"):
        assert (folder / name / "model.safetensors").is_file()
        assert (folder / name / "README.md").is_file()
    for name in ("cot_dataset", "prm_dataset"):
        assert any((folder / name / "images").iterdir())
    report = (folder / "report.html").read_text()
    assert results["id"] in report and "<script" not in report


@pytest.mark.system
def test_the_training_data_was_imported_and_the_benchmarks_measured(
    finished: tuple[Path, dict[str, Any], list[int]],
) -> None:
    home, results, _ = finished
    (imported,) = (path for path in (home / ".mstar" / "imports").iterdir() if path.is_dir())
    records = json.loads((imported / "import.json").read_text())["records"]
    assert records == {split: TESTED[f"data.{split}"] + 5 for split in OWN}
    assert results["data"]["records"] == {split: TESTED[f"data.{split}"] for split in OWN}
    for milestone in results["test"].values():
        assert set(milestone["sets"]) == set(SETS)
        assert set(SETS) <= set(milestone["groups"])


@pytest.mark.system
def test_each_step_is_one_trace_over_all_processes(
    finished: tuple[Path, dict[str, Any], list[int]], collector: Collector
) -> None:
    _, results, _ = finished
    sampling = _trace(collector, results["id"], "it02/generate/0000")
    root = next(one for one in sampling if one.parent is None)
    work = next(one for one in sampling if one.name == "step generate")
    assert (root.name, root.service) == ("schedule generate", "mstar-coordinator")
    assert (work.parent, work.service, work.values["mstar.outcome"]) == (root.id, "mstar-worker", "committed")
    assert [one.parent for one in sampling if one.name == "wait in queue rollout"] == [root.id]
    call = next(one for one in sampling if one.name == "POST /v1/rollouts" and one.service == "mstar-worker")
    served = next(one for one in sampling if one.parent == call.id)
    assert (served.service, served.name) == ("mstar-policy", "POST /v1/rollouts")
    assert call.parent == work.id and served.values["http.response.status_code"] == 200
    scored = next(one for one in collector.received if (one.service, one.name) == ("mstar-prm", "POST /v1/score"))
    services = {one.service for one in collector.received if one.trace == scored.trace}
    assert services == {"mstar-coordinator", "mstar-worker", "mstar-prm"}


@pytest.mark.system
def test_attempts_of_a_killed_training_share_a_trace_and_optimiser_steps_are_counted(
    finished: tuple[Path, dict[str, Any], list[int]], collector: Collector
) -> None:
    _, results, _ = finished
    training = _trace(collector, results["id"], "it01/train")
    attempts = {one.values["mstar.attempt"]: one for one in training if one.name == "step train"}
    assert max(attempts) >= 2 and attempts[max(attempts)].values["mstar.outcome"] == "committed"
    assert {one.service for one in attempts.values()} == {"mstar-trainer"}
    optimised = [one for one in training if one.name == "optimise"]
    assert optimised[0].failed and optimised[-1].values["mstar.steps"] > 0
    assert sum(one.parent is None for one in training) == 1


def _trace(collector: Collector, run_id: str, step: str) -> list[KeptSpan]:
    """All spans of a step's trace, in the order in which they ended."""
    about = {"mstar.run": run_id, "mstar.step": step}
    (trace,) = {one.trace for one in collector.received if about.items() <= one.values.items()}
    return [one for one in collector.received if one.trace == trace]


@pytest.mark.system
def test_nothing_is_left_running(finished: tuple[Path, dict[str, Any], list[int]]) -> None:
    _, _, pids = finished
    assert len(pids) >= 7
    assert [pid for pid in pids if not gone(pid)] == []
