"""The temperature controller."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from example_rows import rollout, scored
from mstar.errors import InvalidInput
from mstar.exploration import (
    LEAST_NOISE,
    choose,
    choose_by_fit,
    curve_of,
    paired,
    pass_outcomes,
    recorded,
    reward_pass_outcomes,
)

CURVES = st.dictionaries(st.sampled_from([0.3, 0.5, 0.7, 1.0, 1.6]), st.sampled_from([0.2, 0.4, 0.6]), min_size=1)


@pytest.mark.parametrize(
    ("curve", "current", "chosen"),
    [
        ({0.3: 0.1, 0.7: 0.5, 1.0: 0.4}, 1.0, 0.7),
        ({0.3: 0.1, 0.7: 0.5, 1.0: 0.5}, 1.0, 1.0),
        ({0.3: 0.5, 0.7: 0.5, 1.0: 0.4}, 1.0, 0.3),
        ({0.3: 0.0}, 1.0, 0.3),
    ],
)
def test_choice(curve: dict[float, float], current: float, chosen: float) -> None:
    assert choose(curve, current) == chosen


@given(CURVES, st.sampled_from([0.3, 1.0, 1.6]))
def test_nothing_beats_the_choice_and_a_best_current_stays(curve: dict[float, float], current: float) -> None:
    chosen = choose(curve, current)
    assert curve[chosen] == max(curve.values())
    assert (chosen == current) is (curve.get(current) == curve[chosen])


def test_an_empty_sweep_chooses_nothing() -> None:
    with pytest.raises(InvalidInput, match="no temperature"):
        choose({}, 1.0)


def test_curves_group_rows_by_temperature() -> None:
    cold, warm = rollout([False, False, True], temperature=0.5), rollout([True, False, False], temperature=1.0)
    assert curve_of(pass_outcomes([warm, cold, cold], 2)) == {0.5: pytest.approx(2 / 3), 1.0: pytest.approx(2 / 3)}
    scores = [scored(cold, [0.9, 0.8, 0.1]), scored(warm, [0.9, 0.8, 0.1])]
    outcomes = reward_pass_outcomes([cold, warm], scores, 2, seed=0)
    assert outcomes == {0.5: {"q1": 0.0}, 1.0: {"q1": 1.0}}
    assert curve_of(outcomes) == {0.5: 0.0, 1.0: 1.0}


def test_recorded_temperatures_have_a_decimal() -> None:
    assert list(recorded({1.0: 0.2, 0.3: 0.1}).items()) == [("0.3", 0.1), ("1.0", 0.2)]


GRID = (0.3, 0.6, 0.9, 1.2, 1.5)
TABLES = st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=5, max_size=5), min_size=1, max_size=30)


def sweep(table: list[list[float]]) -> dict[float, dict[str, float]]:
    """Outcomes [questions][temperatures] of a sweep over GRID."""
    return {t: {f"q{place}": row[column] for place, row in enumerate(table)} for column, t in enumerate(GRID)}


@example([[0.0, 0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0, 1.0]], 0.3)
@given(TABLES, st.sampled_from([0.3, 0.75, 1.5]))
def test_the_smooth_choice_is_on_the_grid_and_changes_with_enough_confidence_only(
    table: list[list[float]], current: float
) -> None:
    made = choose_by_fit(sweep(table), current, 0.8)
    assert made.best in GRID and made.chosen in (made.best, current)
    assert (made.chosen == current) is (made.probability < 0.8 or made.best == current)
    assert made.fitted[made.best] == max(made.fitted.values())
    assert 0 <= made.probability <= 1


@given(TABLES)
def test_the_order_of_questions_and_of_temperatures_changes_nothing(table: list[list[float]]) -> None:
    outcomes = sweep(table)
    turned = {t: dict(reversed(outcomes[t].items())) for t in reversed(GRID)}
    one, other = choose_by_fit(outcomes, 0.9, 0.8), choose_by_fit(turned, 0.9, 0.8)
    assert one.fitted == pytest.approx(other.fitted, abs=1e-9)


@given(TABLES)
def test_points_are_the_measured_means_where_all_questions_were_asked(table: list[list[float]]) -> None:
    outcomes = sweep(table)
    assert {one.x: one.value for one in paired(outcomes)} == pytest.approx(curve_of(outcomes), abs=1e-9)
    assert all(one.variance > 0 for one in paired(outcomes))


def test_a_temperature_with_few_questions_is_placed_by_its_difference_on_these() -> None:
    # The two questions that all answer are easy, the others are not: a plain mean would put 1.5 above the others.
    easy, hard = {"a": 1.0, "b": 1.0}, {"c": 0.0, "d": 0.0}
    points = {one.x: one for one in paired({0.5: easy | hard, 1.0: easy | hard, 1.5: easy})}
    assert points[1.5].value == points[0.5].value == 0.5
    assert points[1.5].variance > points[0.5].variance * 0.5


def test_the_noise_of_a_point_is_the_share_of_the_binomial_one_that_pairing_leaves() -> None:
    # Differences from the questions' levels 1, 0.5, 0, 0: variance 0.25 / 4 - 0.125 ** 2 at either temperature.
    # Smoothed shares of 2.5 / 5 and 1.5 / 5: binomial 0.25 and 0.21.
    share = 2 * 0.046875 / 0.46
    points = paired({0.5: {"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0}, 1.0: {"a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0}})
    assert [(one.value, one.variance) for one in points] == [
        (0.5, pytest.approx(share * 0.25 / 4)),
        (0.25, pytest.approx(share * 0.21 / 4)),
    ]
    same = {"a": 1.0, "b": 0.0}
    assert [one.variance for one in paired({0.5: same, 1.0: same})] == pytest.approx([LEAST_NOISE * 0.25 / 2] * 2)


def scattered(solved: tuple[int, ...], questions: int) -> dict[float, dict[str, float]]:
    """A sweep in which this many percent of the questions are solved, other ones at each temperature."""
    return sweep([[float((37 * q + 29 * c) % 100 < part) for c, part in enumerate(solved)] for q in range(questions)])


def test_a_lucky_point_moves_the_arg_max_and_not_the_fit() -> None:
    outcomes = scattered((52, 50, 51, 54, 30), 100)
    assert choose(curve_of(outcomes), 0.9) == 1.2
    assert choose_by_fit(outcomes, 0.9, 0.8).chosen == 0.9


def test_a_clear_peak_is_found_wherever_the_run_stands() -> None:
    outcomes = scattered((40, 60, 75, 60, 20), 200)
    made = choose_by_fit(outcomes, 0.3, 0.8)
    assert made.chosen == 0.9 and made.probability > 0.99
    # 0.88 was not measured; the curve has a value there too.
    near = choose_by_fit(outcomes, 0.88, 0.99)
    assert (near.best, near.chosen) == (0.9, 0.88)


def test_an_empty_sweep_has_no_smooth_choice() -> None:
    with pytest.raises(InvalidInput, match="no temperature"):
        choose_by_fit({}, 1.0, 0.8)
