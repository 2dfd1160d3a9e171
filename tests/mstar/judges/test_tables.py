"""Tables, intervals and the paired bootstrap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.judges import BENCHMARKS, Average, Item
from mstar.judges.statistics import compare, interval_of, wilson
from mstar.judges.tables import Judged, difference, lines, measures, outcomes


def item(name: str, group: str = "IR", circle: str = "") -> Item:
    return Item(id=name, question="q", options=("x", "y"), gold="A", group=group, circle=circle, subgroup=group.lower())


def test_wilson_is_known_for_textbook_values() -> None:
    found = wilson(81, 263)
    assert (round(found.low, 4), round(found.high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 20).low == 0 and wilson(0, 20).high > 0.1


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share(trial: tuple[int, int]) -> None:
    successes, n = trial
    found = wilson(successes, n)
    assert 0 <= found.low <= successes / n + 1e-12 and successes / n - 1e-12 <= found.high <= 1


def test_a_mean_of_columns_weighs_each_column_the_same_and_has_an_interval_without_any_right_answer() -> None:
    judged = [Judged(item(str(place), "IR" if place < 8 else "LR"), (place < 8,)) for place in range(10)]
    (line,) = lines(BENCHMARKS["mmstar-r"], judged)
    assert line.average.share == 0.5
    (plain,) = lines(BENCHMARKS["mmstar"], judged)
    assert plain.average.share == 0.8
    none = interval_of({"IR": [0.0] * 5, "LR": [0.0] * 5}, Average.COLUMNS)
    assert none.low == 0 and none.high > 0.2


def test_rotations_count_only_together() -> None:
    right = [Judged(item(name, "AR", "1"), (True,)) for name in ("1", "1000001")]
    half = [Judged(item("2", "AR", "2"), (True,)), Judged(item("1000002", "AR", "2"), (False,))]
    (line,) = lines(BENCHMARKS["mmbench-r"], right + half)
    assert (line.average.share, line.average.questions) == (0.5, 2)


def test_samples_give_their_mean_the_prms_choice_and_whether_any_is_right() -> None:
    judged = [Judged(item("1"), (True, False, False, False), best=0), Judged(item("2"), (False, True, False, True), 0)]
    assert measures(judged) == ("mean of 4", "best of 4 by the PRM", "any of 4")
    assert [line.average.share for line in lines(BENCHMARKS["mmstar"], judged)] == [0.375, 0.5, 1.0]
    assert measures([Judged(item("1"), (True, False))]) == ("mean of 2", "any of 2")


def test_a_model_does_not_differ_from_itself_and_differs_from_a_much_better_one() -> None:
    about = BENCHMARKS["mmstar"]
    weak = [Judged(item(str(place)), (place % 5 == 0,)) for place in range(200)]
    strong = [Judged(item(str(place)), (place % 5 != 0,)) for place in range(200)]
    ours, theirs = (outcomes(about, one, "greedy") for one in (weak, strong))
    same = difference(ours, ours, about)
    assert (same.points, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    less = difference(ours, theirs, about)
    assert less.points == pytest.approx(-0.6) and less.high < 0 and less.p_value < 0.01
    with pytest.raises(ValueError, match="same questions"):
        difference(ours, outcomes(about, weak[:10], "greedy"), about)


def test_the_bootstrap_is_seeded() -> None:
    values = {"a": [0.25, 0.5, 1.0] * 9}, {"a": [0.5] * 27}
    assert compare(*values, Average.ITEMS, seed=3) == compare(*values, Average.ITEMS, seed=3)
