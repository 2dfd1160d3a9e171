"""The numbers of a run, built from what its steps committed."""

from coordinator_bench import SMALL, Bench
from mstar.api.steps import Claim
from mstar.results import RunResults


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
