"""Leases over a real store: claims, heartbeats, epochs, releases, dead workers, clocks that jump."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordinator_bench import LEASE, Bench, commit_of
from mstar.api.steps import Commit, Heartbeat, Release
from mstar.errors import (
    InvalidInput,
    StaleEpoch,
    StepTaken,
)
from mstar.evolution import RunState
from mstar_coordinator.scheduler.step_lifecycle import ATTEMPTS


def test_helpers_of_a_holder_see_his_claim_while_he_holds_it(bench: Bench) -> None:
    _, first = bench.started()
    with pytest.raises(StepTaken, match="nobody holds"):
        bench.lifecycle.claimed(first)
    claim = bench.lifecycle.claim(first, "w")
    assert bench.lifecycle.claimed(first) == claim
    bench.lifecycle.commit(first, commit_of(claim))
    with pytest.raises(StepTaken, match="it is done"):
        bench.lifecycle.claimed(first)


def test_a_leased_step_cannot_be_claimed_and_one_that_waits_neither(bench: Bench) -> None:
    run_id, first = bench.started()
    bench.lifecycle.claim(first, "w1")
    with pytest.raises(StepTaken, match="leased"):
        bench.lifecycle.claim(first, "w2")
    with pytest.raises(StepTaken, match="waits for"):
        bench.lifecycle.claim(bench.step_id(run_id, "it01/train"), "w2")


def test_of_many_claims_at_once_one_wins(bench: Bench) -> None:
    _, first = bench.started()

    def claim(number: int) -> int | None:
        try:
            return bench.lifecycle.claim(first, f"w{number}").epoch
        except StepTaken:
            return None

    with ThreadPoolExecutor(8) as pool:
        won = [epoch for epoch in pool.map(claim, range(16)) if epoch is not None]
    assert won == [1]


def test_heartbeats_keep_a_lease(bench: Bench) -> None:
    _, first = bench.started()
    claim = bench.lifecycle.claim(first, "w")
    for done in range(20):
        bench.clock.pass_(LEASE / 4)
        bench.lifecycle.expire_leases()
        if done % 3 == 0:
            bench.lifecycle.heartbeat(first, Heartbeat(epoch=claim.epoch, done=done, total=20))
    bench.lifecycle.commit(first, commit_of(claim))


def test_a_lease_that_ran_out_is_taken_over_and_the_old_epoch_is_void(bench: Bench) -> None:
    _, first = bench.started()
    slow = bench.lifecycle.claim(first, "slow")
    bench.let_leases_run_out()
    quick = bench.lifecycle.claim(first, "quick")
    assert quick.epoch == slow.epoch + 1
    with pytest.raises(StaleEpoch):
        bench.lifecycle.heartbeat(first, Heartbeat(epoch=slow.epoch))
    with pytest.raises(StaleEpoch):
        bench.lifecycle.commit(first, commit_of(slow))
    with pytest.raises(StaleEpoch):
        bench.lifecycle.release(first, Release(epoch=slow.epoch, error="late"))
    bench.lifecycle.commit(first, commit_of(quick))


def test_a_repeated_commit_is_accepted_and_another_one_is_not(bench: Bench) -> None:
    run_id, first = bench.started()
    claim = bench.lifecycle.claim(first, "w")
    bench.lifecycle.commit(first, commit_of(claim))
    before = bench.events(run_id)
    bench.lifecycle.commit(first, commit_of(claim))
    assert bench.events(run_id) == before
    with pytest.raises(StaleEpoch):
        bench.lifecycle.commit(first, commit_of(claim, digest="b" * 64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"artefact": None}, "needs the artefact"),
        ({"artefact": {"id": "r-other/prepare", "sha256": "a" * 64}}, "not r-other/prepare"),
        ({"result": {"kind": "choose", "iteration": 1, "curve": {}, "chosen": 1.0}}, "kind prepare"),
        ({"result": {"kind": "prepare", "seconds": float("nan")}}, "not finite"),
    ],
)
def test_a_commit_that_cannot_be_the_steps_is_refused(bench: Bench, change: dict[str, object], message: str) -> None:
    _, first = bench.started()
    good = commit_of(bench.lifecycle.claim(first, "w"))
    with pytest.raises(InvalidInput, match=message):
        bench.lifecycle.commit(first, Commit.model_validate(good.model_dump() | change))
    bench.lifecycle.commit(first, good)


def test_a_silent_workers_step_is_given_to_another(bench: Bench) -> None:
    run_id, first = bench.started()
    bench.lifecycle.claim(first, "w")
    bench.let_leases_run_out()
    assert bench.due() == [first]
    assert bench.events(run_id)[-1] == "step.retried"
    bench.do(first)


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_jumps_neither_ends_a_lease_nor_keeps_it(bench: Bench, hours: int) -> None:
    run_id, first = bench.started()
    claim = bench.lifecycle.claim(first, "w")
    bench.clock.jump(hours * 3600)
    bench.lifecycle.expire_leases()
    bench.lifecycle.heartbeat(first, Heartbeat(epoch=claim.epoch))
    bench.clock.jump(-2 * hours * 3600)
    bench.let_leases_run_out()
    assert bench.due() == [first] and bench.events(run_id)[-1] == "step.retried"
    bench.work()
    assert bench.run(run_id).state is RunState.SUCCEEDED
    assert all((step.seconds or 0) >= 0 for step in bench.steps(run_id).values())


def test_after_a_restart_with_the_clock_put_back_a_dead_workers_step_is_free_within_a_lease(home: Path) -> None:
    first = Bench(home)
    _, step_id = first.started()
    first.lifecycle.claim(step_id, "dead")
    first.store.close()
    first.clock.jump(-7200)
    second = Bench(home, first.clock)
    second.lifecycle.expire_leases()
    assert second.due() == [], "a worker that lives has a whole lease to renew it here"
    second.let_leases_run_out()
    assert second.due() == [step_id]
    second.store.close()


def test_leases_renewed_through_another_coordinator_are_kept(home: Path) -> None:
    if not (home / "other-database").exists():
        pytest.skip("a SQLite file has one coordinator")
    one = Bench(home)
    other = Bench(home, one.clock)
    _, first = one.started()
    claim = one.lifecycle.claim(first, "w")
    for _ in range(12):
        one.clock.pass_(LEASE / 4)
        one.lifecycle.heartbeat(first, Heartbeat(epoch=claim.epoch))
        for bench in (one, other):
            bench.lifecycle.expire_leases()
    one.lifecycle.commit(first, commit_of(claim))
    for bench in (one, other):
        bench.store.close()


def test_a_coordinator_that_stood_still_blames_no_worker(bench: Bench) -> None:
    _, first = bench.started()
    claim = bench.lifecycle.claim(first, "w")
    bench.clock.pass_(10 * LEASE)
    bench.lifecycle.expire_leases()
    bench.lifecycle.commit(first, commit_of(claim))


def test_resume_frees_what_nobody_renews_and_nothing_else(bench: Bench) -> None:
    run_id, first = bench.started()
    held = bench.lifecycle.claim(first, "w")
    bench.lifecycle.pause(run_id)
    bench.clock.pass_(LEASE / 2)
    bench.lifecycle.resume(run_id)
    bench.lifecycle.heartbeat(first, Heartbeat(epoch=held.epoch))
    bench.lifecycle.pause(run_id)
    bench.clock.pass_(LEASE + 1)
    bench.lifecycle.resume(run_id)
    assert bench.due() == [first]
    bench.do(first)


def test_a_step_that_kills_its_worker_fails_the_run_in_the_end(bench: Bench) -> None:
    run_id, first = bench.started()
    for _ in range(ATTEMPTS):
        bench.lifecycle.claim(first, "w")
        bench.let_leases_run_out()
    run = bench.run(run_id)
    assert run.state is RunState.FAILED
    assert run.error is not None and "prepare" in run.error and "silent" in run.error
    with pytest.raises(StepTaken):
        bench.lifecycle.claim(first, "w")


@pytest.mark.parametrize(
    ("release", "state"),
    [
        ({"retryable": True}, RunState.RUNNING),
        ({"retryable": False}, RunState.FAILED),
        ({"retryable": False, "preempted": True}, RunState.RUNNING),
    ],
)
def test_release_retries_or_fails(bench: Bench, release: dict[str, bool], state: RunState) -> None:
    run_id, first = bench.started()
    claim = bench.lifecycle.claim(first, "w")
    bench.lifecycle.release(first, Release.model_validate({"epoch": claim.epoch, "error": "no luck"} | release))
    assert bench.run(run_id).state is state


def test_released_retries_end_and_preemption_does_not_count(bench: Bench) -> None:
    run_id, first = bench.started()
    for _ in range(3 * ATTEMPTS):
        claim = bench.lifecycle.claim(first, "w")
        bench.lifecycle.release(first, Release(epoch=claim.epoch, error="shutdown", preempted=True))
    for _ in range(ATTEMPTS):
        assert bench.run(run_id).state is RunState.RUNNING
        claim = bench.lifecycle.claim(first, "w")
        bench.lifecycle.release(first, Release(epoch=claim.epoch, error="disk on fire"))
    assert "disk on fire" in (bench.run(run_id).error or "")


def test_resume_after_a_failure_starts_the_count_anew(bench: Bench) -> None:
    run_id, first = bench.started()
    claim = bench.lifecycle.claim(first, "w")
    bench.lifecycle.release(first, Release(epoch=claim.epoch, error="bad", retryable=False))
    assert bench.due() == []
    bench.lifecycle.resume(run_id)
    assert bench.run(run_id).error is None
    bench.work()
    assert bench.run(run_id).state is RunState.SUCCEEDED
