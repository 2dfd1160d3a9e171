"""The numbers of a run, built from what its steps committed."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event

from coordinator_bench import SMALL, Bench, commit_of
from mstar.api.steps import Claim
from mstar.cli.output import unscored_lines
from mstar.evolution import RunState
from mstar.results import RunResults
from mstar.stages.score import ScoreResult
from mstar.stages.select import SelectResult
from mstar_coordinator.export.report import render_report


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """What is asked of any database."""
    asked: list[str] = []

    def note(connection: object, cursor: object, statement: str, *others: object) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield asked
    event.remove(Engine, "before_cursor_execute", note)


def results(bench: Bench, run_id: str) -> RunResults:
    with bench.store.reading() as tx:
        return bench.folders.results(tx, tx.runs.get(run_id))


def test_a_new_run_has_no_numbers(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL)
    made = results(bench, run_id)
    assert (made.iterations, made.sweeps, made.test, made.prm, made.seconds) == ((), (), {}, {}, None)
    assert made.recipe == SMALL and made.id == run_id


def test_an_iteration_shows_before_it_is_evaluated(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL)

    def training(claim: Claim) -> bool:
        return claim.step.name == "it01/train"

    bench.work(until=training)
    (one,) = results(bench, run_id).iterations
    assert (one.questions, one.responses, one.kept, one.temperature) == (8, 32, 8, 1.0)
    assert one.sampled_accuracy == 12 / 32
    assert one.greedy is None and one.losses == ()


def test_a_finished_run_has_all_numbers(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL)
    bench.work()
    bench.lifecycle.extend(run_id, 1)
    bench.work()
    made = results(bench, run_id)
    assert [one.index for one in made.iterations] == [1, 2]
    one = made.iterations[0]
    assert (one.greedy, one.ood, one.pass_at_k, one.reward_pass_at_2, one.headroom) == (0.5, 0.25, 0.75, 0.6, 0.25)
    assert one.losses == (1.0, 0.5) and one.by_task == {"FQA": 0.5}
    assert one.seconds is not None and 0 < one.seconds < (made.seconds or 0)
    (sweep,) = made.sweeps
    assert (sweep.iteration, sweep.chosen, sweep.curve) == (2, 0.5, {"0.5": 0.4, "1.0": 0.3})
    assert set(made.test) == {"base", "warmup", "final"}
    assert made.prm["completions"] == 96 and made.prm["kept"] == 6 and made.prm["losses"] == [1.0, 0.5]


def test_what_the_run_left_shows_once_it_is_published(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL)
    (bench.home / run_id / "policy").mkdir()
    (bench.home / run_id / "report.html").write_text("<p>")
    assert results(bench, run_id).artefacts == {}
    bench.work()
    assert results(bench, run_id).artefacts == {"policy": "policy", "report": "report.html"}


def test_responses_that_the_prm_did_not_take_are_counted_by_phase(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL)
    places = iter(range(100))
    while due := bench.due():
        for step_id in due:
            commit = commit_of(bench.lifecycle.claim(step_id, "w"))
            if isinstance(commit.result, ScoreResult | SelectResult):
                refused = {"refused": 2, "refused_of": (f"q{next(places)}",)}
                commit = commit.model_copy(update={"result": commit.result.model_copy(update=refused)})
            bench.lifecycle.commit(step_id, commit)
    made = results(bench, run_id)
    selections = [step for step in bench.steps(run_id).values() if step.stage == "it01/select"]
    assert made.unscored["it01"].responses == 2 * len(selections) > 2
    assert len(made.unscored["it01"].questions) == min(len(selections), 5)
    assert {"warmup", "it01", "eval/it01"} <= made.unscored.keys()
    lines = list(unscored_lines(made))
    assert len(lines) == len(made.unscored) and "it01: 4 responses have no PRM score, such as to q" in "\n".join(lines)
    html = render_report(made, [])
    assert all(f"<p>{line.split(',')[0]}" in html for line in lines)
    assert list(unscored_lines(made.model_copy(update={"unscored": {}}))) == []


def test_a_run_that_has_ended_is_counted_once(bench: Bench, statements: list[str]) -> None:
    """A page lists fifty of them."""
    run_id = bench.lifecycle.create(SMALL)
    bench.work()
    first = results(bench, run_id)
    statements.clear()
    assert results(bench, run_id) == first
    assert statements and not any("FROM steps" in one for one in statements)


def test_what_happens_to_a_run_after_its_end_is_counted(bench: Bench) -> None:
    run_id = bench.lifecycle.create(SMALL)
    bench.work()
    before = results(bench, run_id)
    (bench.home / run_id / "policy").mkdir()
    assert results(bench, run_id).artefacts == before.artefacts | {"policy": "policy"}
    bench.lifecycle.extend(run_id, 1)
    assert results(bench, run_id).state is RunState.RUNNING
    bench.work()
    after = results(bench, run_id)
    assert [one.index for one in (*before.iterations, *after.iterations)] == [1, 1, 2]
