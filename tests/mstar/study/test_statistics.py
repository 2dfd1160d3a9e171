"""The statistics of studies: tables of t, the example of Holm, and simulated studies whose truth is known."""

import random
from collections.abc import Sequence
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.study.statistics import Table, cumulative, differences, estimates, holm, over_seeds, quantile


@pytest.mark.parametrize(
    ("probability", "freedom", "value"),
    [
        (0.975, 1, 12.7062),
        (0.975, 2, 4.3027),
        (0.975, 4, 2.7764),
        (0.95, 7, 1.8946),
        (0.975, 7, 2.3646),
        (0.995, 30, 2.7500),
        (0.025, 7, -2.3646),
    ],
)
def test_quantiles_are_those_of_the_tables(probability: float, freedom: int, value: float) -> None:
    assert quantile(probability, freedom) == pytest.approx(value, abs=1e-4)
    assert cumulative(value, freedom) == pytest.approx(probability, abs=1e-5)


@given(st.floats(-40, 40), st.integers(1, 63))
def test_t_is_symmetrical_and_a_probability(t: float, freedom: int) -> None:
    assert cumulative(t, freedom) + cumulative(-t, freedom) == pytest.approx(1)
    assert 0 <= cumulative(t, freedom) <= 1


def test_student_s_own_example() -> None:
    # Hours of sleep gained by ten patients with one drug over another (Student 1908).
    found = over_seeds([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    assert (found.mean, found.low, found.high) == pytest.approx((1.58, 0.7001, 2.4599), abs=1e-4)
    assert found.p_value == pytest.approx(0.002833, abs=1e-5)
    alone = over_seeds([1.2])
    assert (alone.mean, alone.low, alone.p_value, alone.seeds) == (1.2, None, None, 1)


def test_holm_s_own_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_never_lowers(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(one >= p and one <= 1 for one, p in zip(corrected, p_values, strict=True))
    ranked = [one for _, one in sorted(zip(p_values, corrected, strict=True))]
    assert ranked == sorted(ranked)


def table(draw: random.Random, seeds: int, questions: int, sd: float, effect: float, spread: float) -> Table:
    """Marks of runs: a probability a question, shifted for each seed and for the arm."""
    base = [draw.betavariate(1, 1) for _ in range(questions)]
    rows = []
    for _ in range(seeds):
        shift = effect + draw.gauss(0, sd)
        rows.append([int(draw.random() < min(1, max(0, p * spread + shift))) for p in base])
    return rows


def paired(draw: random.Random, seeds: int, questions: int, effect: float, sd: float) -> Table:
    """Differences between two arms whose true difference is `effect`, with seeds that deviate by `sd`.

    Some questions are better for one arm than for the other, whichever the seed.
    """
    taste = [draw.gauss(0, 0.1) for _ in range(questions)]
    one, other = [], []
    for _ in range(seeds):
        shift = effect + draw.gauss(0, sd)
        one.append([int(draw.random() < 0.5 + (shift + t) / 2) for t in taste])
        other.append([int(draw.random() < 0.5 - (shift + t) / 2) for t in taste])
    return differences(one, other)


@pytest.mark.parametrize(("seeds", "questions"), [(2, 60), (3, 60), (8, 60)])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds: int, questions: int) -> None:
    draw, studies, effect = random.Random(seeds), 250, 0.06
    tables = {str(n): paired(draw, seeds, questions, effect, 0.03) for n in range(studies)}
    found = estimates(tables, resamples=200).values()
    held = fmean(one.low is not None and one.high is not None and one.low <= 100 * effect <= one.high for one in found)
    # 95 % with a standard error of 1.3 %; the crossed bootstrap is known to be a little too wide.
    assert 0.92 <= held <= 1.0


def test_no_difference_is_called_one_in_at_most_a_twentieth_of_the_studies() -> None:
    draw = random.Random(1)
    tables = {str(n): paired(draw, 5, 60, 0.0, 0.03) for n in range(300)}
    false = fmean(one.p_value is not None and one.p_value < 0.05 for one in estimates(tables, resamples=200).values())
    assert false <= 0.08


def test_a_large_difference_is_found_and_its_interval_is_not_wider_than_it_must_be() -> None:
    rows = paired(random.Random(2), 8, 1000, 0.10, 0.02)
    found = estimates({"a": rows}, resamples=400)["a"]
    by_seed = [100 * fmean(row) for row in rows]
    plain = quantile(0.975, 7) * stdev(by_seed) / 8**0.5
    assert found.low is not None and found.high is not None and found.probability is not None
    assert found.low > 0 and found.probability > 0.99
    assert found.high - found.low < 2 * 1.6 * plain
    assert found.mean == pytest.approx(fmean(by_seed))


def test_the_error_over_few_seeds_is_the_unbiased_one() -> None:
    # All questions of a seed agree, so that only seeds scatter: 0.5 over four of them is 0.25.
    (found,) = estimates({"a": [[1] * 20, [0] * 20, [0] * 20, [0] * 20]}, resamples=4000).values()
    assert found.error == pytest.approx(25, rel=0.06)


def test_pairing_removes_what_both_arms_share() -> None:
    draw = random.Random(3)
    first = table(draw, 6, 400, 0.0, 0.0, 1.0)
    second = [[max(mark, int(draw.random() < 0.04)) for mark in row] for row in first]
    together = estimates({"paired": differences(second, first)}, resamples=300)["paired"]
    apart = estimates({"one": second}, resamples=300)["one"]
    assert together.error is not None and apart.error is not None
    assert together.error < apart.error / 2


def test_the_same_tables_give_the_same_numbers_and_one_seed_gives_no_interval() -> None:
    rows = paired(random.Random(4), 3, 40, 0.1, 0.02)
    assert estimates({"a": rows}) == estimates({"a": rows})
    alone = estimates({"a": rows[:1]})["a"]
    assert (alone.low, alone.high, alone.probability, alone.p_value) == (None, None, None, None)
    assert not alone.above(-100) and not alone.below(100)


@pytest.mark.parametrize("value", [-1, 0, 1])
def test_equal_values_everywhere_have_no_error(value: int) -> None:
    found = estimates({"a": [[value] * 5] * 3}, resamples=50)["a"]
    assert (found.mean, found.low, found.high) == (100 * value, 100 * value, 100 * value)
    assert found.probability == {-1: 0.0, 0: 0.5, 1: 1.0}[value]
    assert found.p_value == {-1: 0.0, 0: 1.0, 1: 0.0}[value]


@pytest.mark.parametrize("tables", [{"a": [[1, 0], [1]]}, {"a": [[1]], "b": [[1, 0]]}, {"a": []}, {"a": [[]]}])
def test_tables_of_different_tests_are_refused(tables: dict[str, Sequence[Sequence[int]]]) -> None:
    with pytest.raises(ValueError, match="equally many questions"):
        estimates(tables)
