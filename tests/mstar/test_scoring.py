"""Savings: what is left out never changes what is kept or measured, with all of them on and with each alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_rows import rollout, scored
from mstar.metrics import best_of_n, ranked, reward_pass_at_k
from mstar.recipes import SelectionMode, SelectionRecipe, parse_recipe
from mstar.scoring import NO_SAVINGS, Savings, ScoreUse, to_score
from mstar.selection import select
from mstar.types import RolloutRow, ScoreRow

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


def only(row: RolloutRow, score: ScoreRow, use: ScoreUse, k: int | None, savings: Savings) -> ScoreRow:
    """The scores without those that the savings leave out."""
    wanted = {response.index for response in to_score(row, use, k, savings)}
    return score.model_copy(update={"responses": tuple(one for one in score.responses if one.index in wanted)})


@WITH_SAVINGS
@given(questions(), st.integers(1, 4), st.integers(0, 3))
def test_top_k_keeps_the_same_responses(savings: Savings, pair: tuple[RolloutRow, ScoreRow], k: int, seed: int) -> None:
    row, score = pair
    rule = SelectionRecipe(mode=SelectionMode.TOP, k=k)
    saved = only(row, score, ScoreUse.SELECTION, k, savings)
    full, less = (select(row, scores, rule, iteration=1, seed=seed) for scores in (score, saved))
    assert [(one.index, one.response) for one in full] == [(one.index, one.response) for one in less]


@WITH_SAVINGS
@given(questions(), st.floats(0, 1))
def test_a_threshold_keeps_the_same_responses(
    savings: Savings, pair: tuple[RolloutRow, ScoreRow], alpha: float
) -> None:
    row, score = pair
    rule = SelectionRecipe(mode=SelectionMode.THRESHOLD, alpha=alpha)
    saved = only(row, score, ScoreUse.SELECTION, None, savings)
    assert select(row, score, rule, iteration=1, seed=0) == select(row, saved, rule, iteration=1, seed=0)


@WITH_SAVINGS
@given(questions(), st.integers(1, 4), st.integers(0, 3))
def test_reward_pass_is_that_of_the_whole_ranking(
    savings: Savings, pair: tuple[RolloutRow, ScoreRow], k: int, seed: int
) -> None:
    row, score = pair
    by_ranking = float(any(response.verdict.correct for response in ranked(row, score, seed)[:k]))
    assert reward_pass_at_k([row], [only(row, score, ScoreUse.RANKING, k, savings)], k, seed) == by_ranking


@WITH_SAVINGS
@given(questions())
def test_scores_for_best_of_n_serve_reward_pass_too(savings: Savings, pair: tuple[RolloutRow, ScoreRow]) -> None:
    row, score = pair
    saved = only(row, score, ScoreUse.RANKING, 1, savings)
    assert best_of_n([row], [saved], 0) == best_of_n([row], [score], 0)
    assert reward_pass_at_k([row], [saved], 2, 0) == reward_pass_at_k([row], [score], 2, 0)


def test_each_saving_leaves_out_its_own() -> None:
    contested, few = rollout([True, True, True, False]), rollout([True, True, False])
    cut_at_two = {"use": ScoreUse.SELECTION, "k": 2}
    wrong, uncontested, decided = EACH
    for savings, of_contested, of_few in (
        (Savings(), [0, 1, 2], []),
        (wrong, [0, 1, 2], [0, 1]),
        (uncontested, [0, 1, 2, 3], []),
        (decided, [0, 1, 2, 3], [0, 1, 2]),
        (NO_SAVINGS, [0, 1, 2, 3], [0, 1, 2]),
    ):
        assert [one.index for one in to_score(contested, **cut_at_two, savings=savings)] == of_contested
        assert [one.index for one in to_score(few, **cut_at_two, savings=savings)] == of_few


def test_what_is_decided_costs_nothing() -> None:
    _, _, decided = EACH
    for row in (rollout([True] * 7 + [False]), rollout([False] * 8)):
        for savings in (Savings(), decided):
            assert to_score(row, ScoreUse.RANKING, 2, savings) == ()
        for savings in (NO_SAVINGS, *EACH[:2]):
            assert to_score(row, ScoreUse.RANKING, 2, savings) == row.responses
    open_row = rollout([True] * 6 + [False] * 2)
    assert to_score(open_row, ScoreUse.RANKING, 2, Savings()) == open_row.responses


def test_a_recipe_switches_each_off_or_all() -> None:
    recipe = parse_recipe({"name": "a"}, {"prm.savings": False, "prm.leave_out.decided": False})
    assert recipe.prm is not None and not recipe.prm.savings
    assert recipe.prm.leave_out == Savings(decided=False)
