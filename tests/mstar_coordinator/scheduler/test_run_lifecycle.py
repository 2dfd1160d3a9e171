"""The state machine over a real store: graph, streaming, pause, cancel, extension, restart, early stops."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordinator_bench import LEASE, SMALL, Bench, commit_of
from mstar.answers import AnswerPlace
from mstar.api.steps import Claim, Commit, Heartbeat
from mstar.errors import (
    IdempotencyMismatch,
    IllegalTransition,
    InvalidRecipe,
    NotFound,
    NotWritable,
    StaleEpoch,
    StepTaken,
)
from mstar.evolution import RunState, graph, reads
from mstar.outcomes import Outcomes, Shape
from mstar.recipes import WarmupRecipe
from mstar.steps import DoneResult
from mstar_coordinator.scheduler.run_folders import RunFolders
from mstar_coordinator.scheduler.run_lifecycle import RunLifecycle
from mstar_coordinator.store.records import IdempotencyKey, StepState


def test_a_run_goes_through_its_whole_graph_and_succeeds(bench: Bench) -> None:
    run_id, _ = bench.started()
    bench.work()
    assert bench.run(run_id).state is RunState.SUCCEEDED
    assert {step.state for step in bench.steps(run_id).values()} == {StepState.DONE}
    assert set(bench.steps(run_id)) == {step.name for step in graph(SMALL, 1)}
    events = bench.events(run_id)
    assert events[0] == "run.created" and events[-1] == "run.succeeded"
    assert events.count("step.committed") == len(bench.steps(run_id))


def test_only_what_needs_nothing_is_due_at_first(bench: Bench) -> None:
    _, first = bench.started()
    assert bench.due() == [first]


def test_a_claim_brings_what_the_step_reads(bench: Bench) -> None:
    run_id, _ = bench.started()
    claims: list[Claim] = []

    def note(claim: Claim) -> bool:
        claims.append(claim)
        return False

    bench.work(until=note)
    for claim in claims:
        assert set(claim.inputs) == set(reads(claim.step))
        assert claim.run_id == run_id and claim.recipe == SMALL
    trained = next(claim for claim in claims if claim.step.name == "it01/train")
    selected = trained.inputs["it01/select/0001"].artefact
    assert selected is not None and selected.id == f"{run_id}/it01/select/0001"


def half_sampled(bench: Bench) -> tuple[str, Claim]:
    """A run whose first iteration has chosen from its first shard, and the claim of the rollouts of the second."""
    run_id = bench.lifecycle.create(SMALL)
    claims: list[Claim] = []

    def second(claim: Claim) -> bool:
        claims.append(claim)
        return claim.step.name == "it01/generate/0001"

    bench.work(until=second)
    bench.do(bench.step_id(run_id, "it01/select/0000"))
    return run_id, claims[-1]


Streaming = tuple[Bench, str, Claim, Claim]


@pytest.fixture
def streaming(home: Path) -> Iterator[Streaming]:
    """A coordinator that streams; a run; the claims of its second rollout shard and of its training."""
    bench = Bench(home, streaming=True)
    run_id, rollout = half_sampled(bench)
    yield bench, run_id, rollout, bench.lifecycle.claim(bench.step_id(run_id, "it01/train"), "w")
    bench.store.close()


def test_streamed_training_begins_with_the_first_shard_and_sees_the_next_arrive(streaming: Streaming) -> None:
    bench, run_id, rollout, train = streaming
    shards = [name for name in train.inputs if name.startswith("it01/select/")]
    assert shards == ["it01/select/0000"]
    before = bench.lifecycle.arrivals(train.step_id, train.epoch)
    assert before.coming and set(before.inputs) == set(train.inputs)
    bench.lifecycle.commit(rollout.step_id, commit_of(rollout))
    bench.do(bench.step_id(run_id, "it01/select/0001"))
    after = bench.lifecycle.arrivals(train.step_id, train.epoch)
    assert set(after.inputs) - set(before.inputs) == {"it01/select/0001"}
    since = bench.lifecycle.arrivals(train.step_id, train.epoch, before.seen)
    assert since.inputs == {"it01/select/0001": after.inputs["it01/select/0001"]}
    assert bench.lifecycle.arrivals(train.step_id, train.epoch, since.seen).inputs == {}


def test_no_more_shards_are_promised_while_a_run_is_paused(streaming: Streaming) -> None:
    bench, run_id, _, train = streaming
    bench.lifecycle.pause(run_id)
    assert not bench.lifecycle.arrivals(train.step_id, train.epoch).coming


def test_arrivals_are_told_to_the_holder_of_the_lease_only(streaming: Streaming) -> None:
    bench, _, _, train = streaming
    with pytest.raises(StaleEpoch):
        bench.lifecycle.arrivals(train.step_id, train.epoch - 1)


def test_without_streaming_training_waits_for_every_shard(bench: Bench) -> None:
    run_id, _ = half_sampled(bench)
    assert bench.steps(run_id)["it01/train"].waiting == 1


def test_runs_stay_in_the_order_of_their_start_when_the_clock_is_put_back(bench: Bench) -> None:
    older = bench.lifecycle.create(SMALL)
    bench.clock.jump(-7200)
    newer = bench.lifecycle.create(SMALL)
    with bench.store.reading() as tx:
        assert [run.id for run in tx.runs.page(None, None, 2)] == [newer, older]


def test_a_paused_run_takes_commits_and_gives_no_claims(bench: Bench) -> None:
    run_id, first = bench.started()
    claim = bench.lifecycle.claim(first, "w")
    bench.lifecycle.pause(run_id)
    bench.lifecycle.heartbeat(first, Heartbeat(epoch=claim.epoch))
    bench.lifecycle.commit(first, commit_of(claim))
    assert bench.due() == []
    with pytest.raises(StepTaken, match="paused"):
        bench.lifecycle.claim(bench.step_id(run_id, "warmup/generate/0000"), "w")
    bench.lifecycle.resume(run_id)
    bench.work()
    assert bench.run(run_id).state is RunState.SUCCEEDED


def test_a_run_whose_last_step_lands_while_it_is_paused_succeeds_on_resume(bench: Bench) -> None:
    run_id, _ = bench.started()
    last: list[Claim] = []

    def publishing(claim: Claim) -> bool:
        last.append(claim)
        return claim.step.params.kind == "publish"

    bench.work(until=publishing)
    bench.lifecycle.pause(run_id)
    bench.lifecycle.commit(last[-1].step_id, commit_of(last[-1]))
    assert bench.run(run_id).state is RunState.PAUSED
    bench.lifecycle.resume(run_id)
    assert bench.run(run_id).state is RunState.SUCCEEDED


def test_cancel_voids_leases_and_is_final(bench: Bench) -> None:
    run_id, first = bench.started()
    claim = bench.lifecycle.claim(first, "w")
    bench.lifecycle.cancel(run_id)
    with pytest.raises(StaleEpoch, match="cancelled"):
        bench.lifecycle.heartbeat(first, Heartbeat(epoch=claim.epoch))
    with pytest.raises(StaleEpoch, match="cancelled"):
        bench.lifecycle.commit(first, commit_of(claim))
    for change in (bench.lifecycle.resume, bench.lifecycle.pause, bench.lifecycle.cancel):
        with pytest.raises(IllegalTransition):
            change(run_id)
    bench.let_leases_run_out()
    assert bench.events(run_id)[-1] == "run.cancelled"


def test_a_finished_run_can_be_extended(bench: Bench) -> None:
    run_id, _ = bench.started()
    bench.work()
    bench.lifecycle.extend(run_id, 1)
    assert bench.run(run_id).state is RunState.RUNNING
    bench.work()
    assert bench.run(run_id).state is RunState.SUCCEEDED
    wanted = {step.name for step in graph(SMALL, 2)} | {"publish/01"}
    assert set(bench.steps(run_id)) == wanted


def test_extending_a_run_in_progress_replaces_its_last_step(bench: Bench) -> None:
    run_id, _ = bench.started()
    bench.lifecycle.extend(run_id, 2)
    assert set(bench.steps(run_id)) == {step.name for step in graph(SMALL, 3)}
    assert bench.run(run_id).iterations == 3
    bench.work()
    assert bench.run(run_id).state is RunState.SUCCEEDED


def test_an_extension_with_a_key_counts_once(bench: Bench) -> None:
    run_id, _ = bench.started()
    key = IdempotencyKey("k", "0" * 64)
    bench.lifecycle.extend(run_id, 1, key)
    bench.lifecycle.extend(run_id, 1, key)
    assert bench.run(run_id).iterations == 2


def test_an_extension_that_is_too_large_changes_nothing(bench: Bench) -> None:
    run_id, _ = bench.started()
    before = set(bench.steps(run_id))
    with pytest.raises(InvalidRecipe, match="shard_questions"):
        bench.lifecycle.extend(run_id, 100_000)
    assert set(bench.steps(run_id)) == before


def test_of_twenty_requests_with_one_key_one_starts_a_run(bench: Bench) -> None:
    key = IdempotencyKey("order-7", "1" * 64)
    with ThreadPoolExecutor(20) as pool:
        ids = set(pool.map(lambda _: bench.lifecycle.create(SMALL, key), range(20)))
    assert len(ids) == 1
    assert [path.name for path in bench.home.glob("r-*")] == list(ids)
    with pytest.raises(IdempotencyMismatch):
        bench.lifecycle.create(SMALL, IdempotencyKey("order-7", "2" * 64))
    assert [path.name for path in bench.home.glob("r-*")] == list(ids)


def test_a_restart_goes_on_where_the_process_ended(home: Path) -> None:
    first = Bench(home)
    run_id = first.lifecycle.create(SMALL)
    held: list[Claim] = []

    def training(claim: Claim) -> bool:
        held.append(claim)
        return claim.step.name == "it01/train"

    first.work(until=training)
    first.store.close()

    first.clock.pass_(10 * LEASE)
    second = Bench(home, first.clock)
    second.lifecycle.expire_leases()
    second.lifecycle.heartbeat(held[-1].step_id, Heartbeat(epoch=held[-1].epoch))
    second.lifecycle.commit(held[-1].step_id, commit_of(held[-1]))
    second.work()
    assert second.run(run_id).state is RunState.SUCCEEDED
    second.store.close()


def test_a_run_that_cannot_have_its_folder_is_not_started(bench: Bench) -> None:
    (bench.home / "file").write_text("")
    homeless = RunFolders(bench.home / "file", bench.store)
    with pytest.raises(NotWritable, match="cannot be written: Not a directory"):
        RunLifecycle(
            bench.store, homeless, bench.clock, LEASE, bench.changed, bench.artefacts.discard, streaming=False
        ).create(SMALL)
    with bench.store.reading() as tx:
        assert tx.runs.page(None, None, 10) == []


def test_unknown_ids_are_not_found(bench: Bench) -> None:
    with pytest.raises(NotFound, match="r-none"):
        bench.lifecycle.pause("r-none")
    with pytest.raises(NotFound, match="r-none-000000"):
        bench.lifecycle.claim("r-none-000000", "w")
    with pytest.raises(NotFound, match="r-none-000000"):
        bench.lifecycle.commit("r-none-000000", Commit(epoch=1, result=DoneResult()))


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_doing_what_is_due_finishes(bench: Bench, seed: int) -> None:
    """What the database says is due has all its needs, and leads to the end in whatever order it is done."""
    order = random.Random(seed)
    run_id = bench.lifecycle.create(SMALL)
    needs = {step.id: step.spec.needs for step in bench.steps(run_id).values()}
    while due := bench.due():
        step_id = order.choice(due)
        done = {name for name, step in bench.steps(run_id).items() if step.state is StepState.DONE}
        assert set(needs[step_id]) <= done
        bench.do(step_id)
    assert bench.run(run_id).state is RunState.SUCCEEDED


def unread(claim: Claim, text: str = "So \\boxed{4}") -> Commit:
    """A shard of 32 questions with two responses each, none of which has an answer heading."""
    shape = Shape(shape="one paragraph, answer in a box", count=64, example=text)
    seen = Outcomes(questions=32, responses=64, no_answer=64, readable_in={AnswerPlace.BOXED: 64}, shapes=(shape,))
    commit = commit_of(claim)
    return commit.model_copy(update={"result": commit.result.model_copy(update={"outcomes": seen})})


def test_a_run_that_cannot_earn_anything_stops_at_its_first_shard_and_says_why(bench: Bench) -> None:
    run_id, _ = bench.started()
    first = bench.step_id(run_id, "warmup/generate/0000")
    bench.work(until=lambda claim: claim.step_id == first)
    bench.let_leases_run_out()
    bench.lifecycle.commit(first, unread(bench.lifecycle.claim(first, "w")))
    run = bench.run(run_id)
    assert run.state is RunState.FAILED and run.error is not None
    assert "stopped after warmup/generate" in run.error
    assert "of 64 responses 0 are right, 64 have no answer heading" in run.error
    assert "64 x one paragraph, answer in a box" in run.error
    assert "set prompt.preset boxed" in run.error
    assert bench.steps(run_id)["warmup/generate/0000"].state is StepState.DONE
    assert bench.due() == [] and bench.events(run_id)[-1] == "run.failed"


def test_a_run_whose_responses_are_never_cut_into_steps_says_so_once_a_stage_and_goes_on(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL.model_copy(update={"warmup": WarmupRecipe(questions=8)}))
    for name in ("warmup/generate/0000", "warmup/generate/0001"):
        own = bench.step_id(run_id, name)
        bench.work(until=lambda claim, own=own: claim.step_id == own)  # type: ignore[misc]
        bench.let_leases_run_out()
        commit = commit_of(claim := bench.lifecycle.claim(own, "w"))
        seen = Outcomes(questions=32, responses=64, correct=64, solved=32, single=64, single_at_lines=60)
        result = commit.result.model_copy(update={"outcomes": seen})
        bench.lifecycle.commit(claim.step_id, commit.model_copy(update={"result": result}))
    with bench.store.reading() as tx:
        (warned,) = (one for one in tx.events.after(run_id, 0, 1000) if one.type == "run.warned")
    assert warned.step == "warmup/generate"
    assert "64 of 64 responses are one step" in str(warned.message) and "60 of them" in str(warned.message)
    bench.work()
    assert bench.run(run_id).state is RunState.SUCCEEDED


def test_a_run_that_was_stopped_goes_on_when_it_is_resumed(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL.model_copy(update={"warmup": WarmupRecipe(questions=8)}))
    first = bench.step_id(run_id, "warmup/generate/0000")
    bench.work(until=lambda claim: claim.step_id == first)
    bench.let_leases_run_out()
    bench.lifecycle.commit(first, unread(bench.lifecycle.claim(first, "w")))
    bench.lifecycle.resume(run_id)
    second = bench.step_id(run_id, "warmup/generate/0001")
    bench.lifecycle.commit(second, unread(bench.lifecycle.claim(second, "w")))
    assert bench.run(run_id).state is RunState.RUNNING
    bench.work()
    assert bench.run(run_id).state is RunState.SUCCEEDED


def test_a_poor_measurement_stops_no_run(bench: Bench) -> None:
    run_id, _ = bench.started()

    def measuring(claim: Claim) -> bool:
        return claim.step.params.kind == "generate" and "validation" in claim.step.name

    bench.work(until=measuring)
    bench.let_leases_run_out()
    (step,) = (one for one in bench.steps(run_id).values() if "validation" in one.name and one.epoch)
    bench.lifecycle.commit(step.id, unread(bench.lifecycle.claim(step.id, "w")))
    assert bench.run(run_id).state is RunState.RUNNING
