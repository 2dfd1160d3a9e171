"""Savings: what is left out never changes what is kept or measured, with all of them on and with each alone."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_rows import rollout, scored
from mstar.metrics import best_of_n, ranked, reward_pass_at_k
from mstar.needed_scores import NO_SAVINGS, Savings, needed_for_ranking, needed_for_selection
from mstar.recipes import parse_recipe
from mstar.selection import select
from mstar.selection_rules import SelectionMode, SelectionRecipe
from mstar.types import CheckedResponse, RolloutRow, ScoreRow

VERDICTS = st.lists(st.booleans(), min_size=2, max_size=8)
EACH = [Savings(**{name: name == alone for name in Savings.model_fields}) for alone in Savings.model_fields]
WITH_SAVINGS = pytest.mark.parametrize(
    "savings", [Savings(), *EACH, NO_SAVINGS], ids=["all", *Savings.model_fields, "no"]
)
TEXTS = ("a\n\n## Answer\n\n42", "b\n\n## Answer\n\n42", "c\n\n## Answer\n\n42")


@st.composite
def questions(draw: st.DrawFn) -> tuple[RolloutRow, ScoreRow]:
    """A question with some equal texts, and scores that follow from the text alone."""
    verdicts = draw(VERDICTS)
    texts = [draw(st.sampled_from(TEXTS)) if draw(st.booleans()) else f"step {i}" for i in range(len(verdicts))]
    values = {text: draw(st.floats(0.01, 0.99)) for text in dict.fromkeys(texts)}
    return rollout(verdicts, texts=texts), scored(rollout(verdicts, texts=texts), [values[text] for text in texts])


def only(score: ScoreRow, needed: Sequence[CheckedResponse]) -> ScoreRow:
    """The scores of those that are needed."""
    wanted = {response.index for response in needed}
    return score.model_copy(update={"responses": tuple(one for one in score.responses if one.index in wanted)})


@WITH_SAVINGS
@given(questions(), st.integers(1, 4), st.integers(0, 3))
def test_top_k_keeps_the_same_responses(savings: Savings, pair: tuple[RolloutRow, ScoreRow], k: int, seed: int) -> None:
    row, score = pair
    rule = SelectionRecipe(mode=SelectionMode.TOP, k=k)
    saved = only(score, needed_for_selection(row, k, savings))
    full, less = (select(row, scores, rule, iteration=1, seed=seed) for scores in (score, saved))
    assert [(one.index, one.response) for one in full] == [(one.index, one.response) for one in less]


@WITH_SAVINGS
@given(questions(), st.floats(0, 1))
def test_a_threshold_keeps_the_same_responses(
    savings: Savings, pair: tuple[RolloutRow, ScoreRow], alpha: float
) -> None:
    row, score = pair
    rule = SelectionRecipe(mode=SelectionMode.THRESHOLD, alpha=alpha)
    saved = only(score, needed_for_selection(row, None, savings))
    assert select(row, score, rule, iteration=1, seed=0) == select(row, saved, rule, iteration=1, seed=0)


@WITH_SAVINGS
@given(questions(), st.integers(1, 4), st.integers(0, 3))
def test_reward_pass_is_that_of_the_whole_ranking(
    savings: Savings, pair: tuple[RolloutRow, ScoreRow], k: int, seed: int
) -> None:
    row, score = pair
    by_ranking = float(any(response.verdict.correct for response in ranked(row, score, seed)[:k]))
    assert reward_pass_at_k([row], [only(score, needed_for_ranking(row, k, savings))], k, seed) == by_ranking


@WITH_SAVINGS
@given(questions())
def test_scores_for_best_of_n_serve_reward_pass_too(savings: Savings, pair: tuple[RolloutRow, ScoreRow]) -> None:
    row, score = pair
    saved = only(score, needed_for_ranking(row, 1, savings))
    assert best_of_n([row], [saved], 0) == best_of_n([row], [score], 0)
    assert reward_pass_at_k([row], [saved], 2, 0) == reward_pass_at_k([row], [score], 2, 0)


def test_each_saving_leaves_out_its_own() -> None:
    contested, few = rollout([True, True, True, False]), rollout([True, True, False])
    wrong, uncontested, decided = EACH
    for savings, of_contested, of_few in (
        (Savings(), [0, 1, 2], []),
        (wrong, [0, 1, 2], [0, 1]),
        (uncontested, [0, 1, 2, 3], []),
        (decided, [0, 1, 2, 3], [0, 1, 2]),
        (NO_SAVINGS, [0, 1, 2, 3], [0, 1, 2]),
    ):
        assert [one.index for one in needed_for_selection(contested, 2, savings)] == of_contested
        assert [one.index for one in needed_for_selection(few, 2, savings)] == of_few


def test_what_is_decided_costs_nothing() -> None:
    _, _, decided = EACH
    for row in (rollout([True] * 7 + [False]), rollout([False] * 8)):
        for savings in (Savings(), decided):
            assert needed_for_ranking(row, 2, savings) == ()
        for savings in (NO_SAVINGS, *EACH[:2]):
            assert needed_for_ranking(row, 2, savings) == row.responses
    open_row = rollout([True] * 6 + [False] * 2)
    assert needed_for_ranking(open_row, 2, Savings()) == open_row.responses


def test_a_recipe_switches_each_off_or_all() -> None:
    for written, savings in ((True, Savings()), (False, NO_SAVINGS), ({"decided": False}, Savings(decided=False))):
        recipe = parse_recipe({"name": "a", "prm": {"savings": written}})
        assert recipe.prm is not None
        assert recipe.prm.savings == savings
