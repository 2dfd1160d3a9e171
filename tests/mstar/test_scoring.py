"""Savings: what is left out never changes what is kept or measured."""

from hypothesis import given
from hypothesis import strategies as st

from example_rows import rollout, scored
from mstar.metrics import best_of_n, ranked, reward_pass_at_k
from mstar.recipes import SelectionMode, SelectionRecipe
from mstar.scoring import ScoreUse, to_score
from mstar.selection import select
from mstar.types import RolloutRow, ScoreRow

VERDICTS = st.lists(st.booleans(), min_size=2, max_size=8)
TEXTS = ("a\n\n## Answer\n\n42", "b\n\n## Answer\n\n42", "c\n\n## Answer\n\n42")


@st.composite
def questions(draw: st.DrawFn) -> tuple[RolloutRow, ScoreRow]:
    """A question with some equal texts, and scores that follow from the text alone."""
    verdicts = draw(VERDICTS)
    texts = [draw(st.sampled_from(TEXTS)) if draw(st.booleans()) else f"step {i}" for i in range(len(verdicts))]
    values = {text: draw(st.floats(0.01, 0.99)) for text in dict.fromkeys(texts)}
    return rollout(verdicts, texts=texts), scored(rollout(verdicts, texts=texts), [values[text] for text in texts])


def only(row: RolloutRow, score: ScoreRow, use: ScoreUse, k: int | None) -> ScoreRow:
    """The scores without those that the savings leave out."""
    wanted = {response.index for response in to_score(row, use, k, savings=True)}
    return score.model_copy(update={"responses": tuple(one for one in score.responses if one.index in wanted)})


@given(questions(), st.integers(1, 4), st.integers(0, 3))
def test_top_k_keeps_the_same_responses(pair: tuple[RolloutRow, ScoreRow], k: int, seed: int) -> None:
    row, score = pair
    rule = SelectionRecipe(mode=SelectionMode.TOP, k=k)
    saved = only(row, score, ScoreUse.SELECTION, k)
    full, less = (select(row, scores, rule, iteration=1, seed=seed) for scores in (score, saved))
    assert [(one.index, one.response) for one in full] == [(one.index, one.response) for one in less]


@given(questions(), st.floats(0, 1))
def test_a_threshold_keeps_the_same_responses(pair: tuple[RolloutRow, ScoreRow], alpha: float) -> None:
    row, score = pair
    rule = SelectionRecipe(mode=SelectionMode.THRESHOLD, alpha=alpha)
    saved = only(row, score, ScoreUse.SELECTION, None)
    assert select(row, score, rule, iteration=1, seed=0) == select(row, saved, rule, iteration=1, seed=0)


@given(questions(), st.integers(1, 4), st.integers(0, 3))
def test_reward_pass_is_that_of_the_whole_ranking(pair: tuple[RolloutRow, ScoreRow], k: int, seed: int) -> None:
    row, score = pair
    by_ranking = float(any(response.verdict.correct for response in ranked(row, score, seed)[:k]))
    assert reward_pass_at_k([row], [only(row, score, ScoreUse.RANKING, k)], k, seed) == by_ranking


@given(questions())
def test_scores_for_best_of_n_serve_reward_pass_too(pair: tuple[RolloutRow, ScoreRow]) -> None:
    row, score = pair
    saved = only(row, score, ScoreUse.RANKING, 1)
    assert best_of_n([row], [saved], 0) == best_of_n([row], [score], 0)
    assert reward_pass_at_k([row], [saved], 2, 0) == reward_pass_at_k([row], [score], 2, 0)


def test_what_is_decided_costs_nothing() -> None:
    right, wrong = rollout([True] * 7 + [False]), rollout([False] * 8)
    for row in (right, wrong):
        assert to_score(row, ScoreUse.RANKING, 2, savings=True) == ()
        assert to_score(row, ScoreUse.RANKING, 2, savings=False) == row.responses
    assert [one.index for one in to_score(right, ScoreUse.SELECTION, 2, savings=True)] == list(range(7))
    assert to_score(rollout([True, True, False]), ScoreUse.SELECTION, 2, savings=True) == ()
