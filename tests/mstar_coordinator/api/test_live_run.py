"""A run at this moment: who does what, how fast, what waits for what; and the page of a step with its log."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from coordinator_bench import SMALL, Bench, MemoryPublisher, commit_of
from mstar.api.live import LiveRun, Rates, StageProgress, spoken_rates
from mstar.api.steps import Claim
from mstar.gpu_memory import GpuMemory
from mstar_coordinator.api.live import rate
from mstar_coordinator.api.pages.step_map import look, phases
from mstar_coordinator.api.step_log import LINES, step_lines
from mstar_coordinator.store.records import StepRecord
from pages_bench import client_of, start


@pytest.fixture
def client(home: Path, publisher: MemoryPublisher) -> Iterator[httpx2.Client]:
    yield from client_of(home, publisher)


def claim(client: httpx2.Client, publisher: MemoryPublisher) -> Claim:
    """Take the next step and hold it."""
    for _ in range(2000):
        if (step := publisher.take()) is not None:
            answer = client.post(f"/internal/v1/steps/{step}/claim", json={"worker": "rollout@host:1"})
            return Claim.model_validate_json(answer.content)
        client.get("/livez")
    raise AssertionError("no step is due")


def commit(client: httpx2.Client, held: Claim) -> None:
    body = commit_of(held).model_dump(mode="json")
    assert client.post(f"/internal/v1/steps/{held.step_id}/commit", json=body).status_code == 200


def test_a_run_says_who_does_what_and_what_waits_for_what(client: httpx2.Client, publisher: MemoryPublisher) -> None:
    run_id = start(client)
    first = claim(client, publisher)
    beat = {"epoch": first.epoch, "done": 3, "total": 8}
    client.post(f"/internal/v1/steps/{first.step_id}/heartbeat", json=beat)
    live = LiveRun.model_validate_json(client.get(f"/v1/runs/{run_id}/live").content)
    (now,) = live.now
    assert (now.name, now.worker, now.done, now.total) == ("prepare", "rollout@host:1", 3, 8) and now.seconds >= 0
    stages = {one.name: one for one in live.stages}
    assert next(iter(stages)) == "prepare" and (stages["prepare"].running, stages["prepare"].total) == (1, 1)
    assert "prepare" in stages["warmup/generate"].waits_for
    assert "it01/generate" in stages["it01/select"].waits_for and live.rates == Rates()
    page = client.get(f"/runs/{run_id}/now").text
    assert "rollout@host:1" in page and "3 of 8" in page and "waits for" in page
    assert now.gpu_memory is None and "GPU memory" not in page
    memory = {"used": 31 * 2**30, "total": 80 * 2**30}
    client.post(f"/internal/v1/steps/{first.step_id}/heartbeat", json=beat | {"gpu_memory": memory})
    (now,) = LiveRun.model_validate_json(client.get(f"/v1/runs/{run_id}/live").content).now
    assert now.gpu_memory == GpuMemory(**memory) and "31.0 of 80.0 GiB" in client.get(f"/runs/{run_id}/now").text
    commit(client, first)
    while not (held := claim(client, publisher)).step.name.startswith(("warmup/generate", "eval/base")):
        commit(client, held)
    after = LiveRun.model_validate_json(client.get(f"/v1/runs/{run_id}/live").content)
    assert {one.name: one.waits_for for one in after.stages}["warmup/generate"] == ()
    assert client.get("/v1/runs/r-none/live").status_code == 404


def test_a_step_is_shown_with_what_it_needs_and_its_log(
    client: httpx2.Client, publisher: MemoryPublisher, home: Path
) -> None:
    run_id = start(client)
    held = claim(client, publisher)
    path = f"/runs/{run_id}/steps"
    assert "No log of this step" in client.get(path, params={"step": held.step.name}).text
    logs = home / "runs" / ".mstar" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    claimed = {"event": "step claimed", "run": run_id, "step": held.step.name}
    said = {"event": "<b>asked</b>", "url": "redis://me:hush@host/0", "level": "info"}
    (logs / "worker-score.log").write_text("\n".join(map(json.dumps, (claimed, said))) + "\nTraceback: boom\n")
    page = client.get(path, params={"step": held.step.name}).text
    assert "&lt;b&gt;asked" in page and "hush" not in page and "Traceback: boom" in page
    stage = client.get(path, params={"stage": "it01/generate"}).text
    assert (
        "it01/generate/0000" in stage and "warmup/train" in client.get(path, params={"step": "it01/generate/0000"}).text
    )
    for bad in ({"stage": "none"}, {"step": "none"}, {}):
        assert client.get(path, params=bad).json()["code"] == "not-found"


def line(event: str, **fields: str) -> str:
    return json.dumps({"event": event, **fields})


def test_the_log_of_a_step_is_its_last_attempt_up_to_another_claim() -> None:
    mine = {"run": "r", "step": "it01/generate/0000"}
    lines = [
        line("step claimed", **mine), "first attempt",
        line("step claimed", run="r", step="other"), "of another",
        line("step claimed", **mine, epoch="2"), "second attempt", "", line("step committed", **mine),
        line("step claimed", run="r", step="third"), "of a third",
    ]  # fmt: skip
    found = step_lines(lines, "r", "it01/generate/0000")
    assert [one.split(" epoch")[0] for one in found] == ["step claimed", "second attempt", "step committed"]
    assert step_lines(lines, "r", "unknown") == ()
    long = [line("step claimed", **mine), *(str(number) for number in range(1000))]
    assert step_lines(long, "r", "it01/generate/0000")[-1] == "999"
    assert len(step_lines(long, "r", "it01/generate/0000")) == LINES


def test_keys_and_passwords_are_hidden_in_lines_that_are_no_json() -> None:
    key = "mstar_" + "a" * 12 + "_" + "b" * 43
    made = step_lines([line("step claimed", run="r", step="s"), f"Bearer xyz {key}, http://u:pw@h/"], "r", "s")
    assert made[1] == "Bearer [hidden] [hidden], http://[hidden]@h/"


def test_a_rate_counts_time_that_steps_shared_once(bench: Bench) -> None:
    base = bench.steps(bench.lifecycle.create(SMALL))["warmup/generate/0000"]

    def step(begin: float | None, end: float) -> StepRecord:
        return StepRecord(**{**base.__dict__, "claimed_at": begin, "done_at": end})

    assert rate([step(0, 10), step(5, 15)], lambda _: 30) == pytest.approx(60 / 15)
    assert rate([step(0, 10), step(100, 110)], lambda _: 30) == pytest.approx(60 / 20), "pauses do not count"
    assert rate([], lambda _: 1) is None and rate([step(0, 10)], lambda _: 0) is None
    assert rate([step(3, 3)], lambda _: 5) is None and rate([step(None, 3)], lambda _: 5) is None


def stage(name: str, **counts: int) -> StageProgress:
    return StageProgress.model_validate({"name": name, "done": 0, "running": 0, "due": 0, "failed": 0, **counts})


def test_the_map_groups_by_phase_and_says_the_most_urgent() -> None:
    made = phases(
        [stage("prepare", total=1, done=1), stage("eval/base/test_id", total=2), stage("it01/train", total=1)]
    )
    assert [(phase, [one.short for one in stages]) for phase, stages in made] == [
        ("prepare", ["prepare"]),
        ("evaluation of base", ["test_id"]),
        ("it01", ["train"]),
    ]
    looks = [{"failed": 1, "running": 1}, {"done": 3}, {"running": 1, "due": 2}, {"due": 1}, {}]
    assert [look(stage("a/b", total=3, **one)) for one in looks] == ["failed", "done", "running", "due", "waiting"]


def test_rates_are_told_with_their_units() -> None:
    rates = Rates(responses=12.345, tokens=12345.6)
    assert spoken_rates(rates) == (("12.3", "responses/s"), ("12,346", "sampled tokens/s"))
