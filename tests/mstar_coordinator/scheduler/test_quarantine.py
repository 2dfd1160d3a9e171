"""A question that ends every worker: found by naming questions, done last, and left out in the end."""

from collections.abc import Callable

import pytest

from coordinator_bench import SMALL, Bench, commit_of
from mstar.api.steps import Claim, Heartbeat, Release
from mstar.evolution import RunState
from mstar_coordinator.scheduler.step_lifecycle import ATTEMPTS

QUESTIONS = ("a", "b", "c", "d")
SHARD = "warmup/generate/0000"


def shard(bench: Bench) -> tuple[str, str]:
    """A run whose first rollout shard is due; the ids of both."""
    run_id = bench.lifecycle.create(SMALL)
    bench.work(lambda claim: claim.step.name == SHARD)
    bench.let_leases_run_out()
    return run_id, bench.step_id(run_id, SHARD)


def attempt(bench: Bench, step_id: str, end: Callable[[Bench, Claim], None], poison: set[str]) -> Claim:
    """One attempt as a worker does it, which `end` ends at a poisonous question; without one it is committed."""
    claim = bench.lifecycle.claim(step_id, "w")
    order = sorted(set(QUESTIONS) - set(claim.quarantined), key=lambda one: (one in claim.suspects, one))
    if not claim.careful and poison & set(order):
        end(bench, claim)
        return claim
    for done, question in enumerate(order):
        beat = Heartbeat(epoch=claim.epoch, question=question, done=done, total=len(order))
        bench.lifecycle.heartbeat(step_id, beat)
        if question in poison:
            end(bench, claim)
            return claim
    bench.lifecycle.heartbeat(step_id, Heartbeat(epoch=claim.epoch))
    bench.lifecycle.commit(step_id, commit_of(claim))
    return claim


def die(bench: Bench, claim: Claim) -> None:
    bench.let_leases_run_out()


def fail(bench: Bench, claim: Claim) -> None:
    bench.lifecycle.release(claim.step_id, Release(epoch=claim.epoch, error="nothing answers", code="unavailable"))


def until_ended(bench: Bench, run_id: str, step_id: str, end: Callable[[Bench, Claim], None], poison: set[str]) -> int:
    for count in range(1, 30):
        attempt(bench, step_id, end, poison)
        if bench.run(run_id).state is not RunState.RUNNING or bench.steps(run_id)[SHARD].state == "done":
            return count
    raise AssertionError("it goes round for ever")


def quarantined(bench: Bench, run_id: str) -> list[str]:
    with bench.store.reading() as tx:
        return [one.question for one in tx.suspects.quarantined(run_id)]


def test_a_question_that_kills_every_worker_is_left_out_and_the_run_goes_on(bench: Bench) -> None:
    run_id, step_id = shard(bench)
    # One attempt has ended already; the next ends the same way, then questions are done one at a time.
    assert until_ended(bench, run_id, step_id, die, {"b"}) == 4
    assert quarantined(bench, run_id) == ["b"]
    bench.work()
    assert bench.run(run_id).state is RunState.SUCCEEDED
    with bench.store.reading() as tx:
        told = [one for one in tx.events.after(run_id, 0, 1000) if one.type.startswith("question.")]
        results = bench.folders.results(tx, tx.runs.get(run_id))
    assert [one.type for one in told] == ["question.suspected", "question.quarantined"]
    assert all("question b" in one.message and "fell silent" in one.message for one in told)
    assert [one.question for one in results.quarantined] == ["b"] and len(results.iterations) == 1


def test_later_claims_of_the_run_come_without_it_and_other_runs_have_it(bench: Bench) -> None:
    run_id, step_id = shard(bench)
    until_ended(bench, run_id, step_id, die, {"b"})
    claims: list[Claim] = []
    bench.work(lambda claim: claims.append(claim) is not None)
    assert {claim.quarantined for claim in claims} == {("b",)}
    bench.lifecycle.create(SMALL)
    bench.work(lambda claim: claims.append(claim) is not None)
    assert claims[-1].quarantined == ()


def test_requests_that_fail_count_as_much_as_workers_that_die(bench: Bench) -> None:
    run_id, step_id = shard(bench)
    until_ended(bench, run_id, step_id, fail, {"d"})
    assert quarantined(bench, run_id) == ["d"]


def test_two_such_questions_of_a_shard_are_both_found(bench: Bench) -> None:
    run_id, step_id = shard(bench)
    until_ended(bench, run_id, step_id, die, {"a", "c"})
    assert sorted(quarantined(bench, run_id)) == ["a", "c"]
    assert bench.run(run_id).state is RunState.RUNNING


def test_a_shard_that_fails_at_every_question_fails_its_run(bench: Bench) -> None:
    run_id, step_id = shard(bench)
    tries = until_ended(bench, run_id, step_id, fail, set(QUESTIONS))
    assert bench.run(run_id).state is RunState.FAILED
    assert quarantined(bench, run_id) == [] and tries >= ATTEMPTS - 1


@pytest.mark.parametrize("code", ["missing-artefact", "corrupt-artefact", "storage-full"])
def test_no_question_is_blamed_for_what_none_brings_about(bench: Bench, code: str) -> None:
    """As where somebody removes the checkpoint that a shard is sampled with."""
    run_id, step_id = shard(bench)

    def lose(bench: Bench, claim: Claim) -> None:
        bench.lifecycle.release(step_id, Release(epoch=claim.epoch, error="it is gone", code=code))

    assert until_ended(bench, run_id, step_id, lose, {"d"}) == ATTEMPTS - 1
    assert bench.run(run_id).state is RunState.FAILED
    assert "question.suspected" not in bench.events(run_id)


def test_an_innocent_question_is_cleared_when_the_shard_succeeds(bench: Bench) -> None:
    run_id, step_id = shard(bench)
    attempt(bench, step_id, die, {"b"})
    claim = attempt(bench, step_id, die, {"b"})
    assert claim.careful and claim.suspects == ()
    # The machine was at fault, and another one does the shard.
    claim = attempt(bench, step_id, die, set())
    assert claim.suspects == ("b",)
    assert quarantined(bench, run_id) == []
    with bench.store.reading() as tx:
        assert tx.suspects.of_step(run_id, SHARD) == ()


def test_a_worker_that_is_told_to_stop_blames_no_question(bench: Bench) -> None:
    run_id, step_id = shard(bench)
    attempt(bench, step_id, die, {"b"})

    def stop(bench: Bench, claim: Claim) -> None:
        bench.lifecycle.release(step_id, Release(epoch=claim.epoch, error="stopping", preempted=True))

    for _ in range(3):
        attempt(bench, step_id, stop, {"b"})
    assert "question.suspected" not in bench.events(run_id)
