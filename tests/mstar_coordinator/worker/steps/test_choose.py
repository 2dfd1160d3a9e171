"""The sweep's shards become a curve over T, and the curve a temperature."""

import pytest

from example_rows import rollout, scored
from mstar.recipes import Estimator, ExplorationMode
from mstar.stages.choose import ChooseParams, ChooseResult
from mstar_coordinator.worker.steps import choose
from work_bench import Bench


def chosen(bench: Bench, mode: ExplorationMode, previous: str | None = None) -> ChooseResult:
    scores = ("scores",) if mode is ExplorationMode.REWARD_PASS else ()
    params = ChooseParams(
        iteration=3, mode=mode, grid=(0.5, 1.0), k=1, current=1.0, previous=previous, rows=("rows",), scores=scores
    )
    artefact, result = choose.run(bench.step("it03/sweep/choose", params))
    assert artefact is None
    assert isinstance(result, ChooseResult)
    return result


def test_the_two_metrics_can_choose_differently(bench: Bench) -> None:
    cold, warm = rollout([True, False, False], temperature=0.5), rollout([True, True, False], temperature=1.0)
    bench.keep("rows", [cold, warm])
    bench.keep("scores", [scored(cold, [0.9, 0.1, 0.1]), scored(warm, [0.2, 0.2, 0.9])])
    by_reward, by_pass = chosen(bench, ExplorationMode.REWARD_PASS), chosen(bench, ExplorationMode.PASS)
    assert (by_reward.curve, by_reward.chosen) == ({"0.5": 1.0, "1.0": 0.0}, 0.5)
    assert by_pass.curve == pytest.approx({"0.5": 1 / 3, "1.0": 2 / 3})
    assert by_pass.chosen == 1.0


def test_a_tie_keeps_what_the_sweep_before_chose(bench: Bench) -> None:
    bench.keep("rows", [rollout([True], temperature=t) for t in (0.5, 1.0)])
    assert chosen(bench, ExplorationMode.PASS).chosen == 1.0
    bench.done("it01/sweep/choose", None, ChooseResult(iteration=1, curve={"0.5": 1.0}, chosen=0.5))
    assert chosen(bench, ExplorationMode.PASS, "it01/sweep/choose").chosen == 0.5


def test_the_smooth_curve_and_pass_at_k_are_recorded_with_the_choice(bench: Bench) -> None:
    rows = [rollout([True, False], name=f"q{place}", temperature=t) for place in range(4) for t in (0.5, 1.0)]
    bench.keep("rows", rows)
    params = ChooseParams(
        iteration=3,
        mode=ExplorationMode.PASS,
        grid=(0.5, 1.0),
        k=1,
        passes=2,
        estimator=Estimator.FIT,
        current=0.8,
        rows=("rows",),
        scores=(),
    )
    _, made = choose.run(bench.step("it03/sweep/choose", params))
    assert made.curve == made.fitted == pytest.approx({"0.5": 0.5, "1.0": 0.5})
    assert (made.pass_at_k, made.passes) == ({"0.5": 1.0, "1.0": 1.0}, 2)
    # Nothing speaks for another temperature, so the current one stays, though no sweep measured it.
    assert (made.chosen, made.probability) == (0.8, pytest.approx(0.5))
