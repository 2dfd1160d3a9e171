"""The temperature controller."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_rows import rollout, scored
from mstar.errors import InvalidInput
from mstar.exploration import choose, pass_curve, recorded, reward_pass_curve

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
    assert pass_curve([warm, cold, cold], 2) == {0.5: pytest.approx(2 / 3), 1.0: pytest.approx(2 / 3)}
    scores = [scored(cold, [0.9, 0.8, 0.1]), scored(warm, [0.9, 0.8, 0.1])]
    assert reward_pass_curve([cold, warm], scores, 2, seed=0) == {0.5: 0.0, 1.0: 1.0}


def test_recorded_temperatures_have_a_decimal() -> None:
    assert list(recorded({1.0: 0.2, 0.3: 0.1}).items()) == [("0.3", 0.1), ("1.0", 0.2)]
