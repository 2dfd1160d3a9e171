"""Which correct responses are kept, in every arm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_rows import rollout, scored
from mstar.answers.rule import AnswerPlace
from mstar.errors import InvalidRecipe
from mstar.metrics import ranked
from mstar.selection import Soundness, select, soundness
from mstar.selection_rules import SelectionMode, SelectionRecipe
from mstar.types import FinishReason, RolloutRow, SelectedRow

CHAIN = ("A is 12", "12 + 30 = 42")
SOUND = "A is 12\n\n12 + 30 = 42\n\n## Answer\n\n42"


def kept(
    row: RolloutRow, minima: list[float | None] | None, rule: SelectionRecipe, seed: int = 0
) -> tuple[SelectedRow, ...]:
    return select(row, scored(row, minima) if minima else None, rule, iteration=1, seed=seed)


def rule(mode: str, k: int = 2, alpha: float = 0.2) -> SelectionRecipe:
    return SelectionRecipe(mode=SelectionMode(mode), k=k, alpha=alpha)


def test_top_needs_no_score_where_all_are_kept() -> None:
    assert [one.index for one in kept(rollout([True, False, True]), None, rule("top"))] == [0, 2]


def test_top_ranks_correct_responses_by_their_weakest_step() -> None:
    rows = kept(rollout([True, False, True, True]), [0.3, 0.99, 0.9, 0.4], rule("top"))
    assert [row.index for row in rows] == [2, 3]
    assert rows[0].reason == "top-2 of 3 correct"
    assert (rows[0].reward, rows[0].step_scores) == (0.9, (1.0, 0.9))
    assert (rows[0].prm_version, rows[0].weight_version, rows[0].temperature) == ("p1", "v1", 1.0)


def test_all_keeps_every_correct_one_in_place_without_scores() -> None:
    rows = kept(rollout([True, False, True]), None, rule("all"))
    assert [(row.index, row.reward, row.reason) for row in rows] == [
        (0, None, "all of 2 correct"),
        (2, None, "all of 2 correct"),
    ]


def test_threshold_is_exclusive() -> None:
    rows = kept(rollout([True, True, True, False]), [0.2, 0.21, 0.9, 0.9], rule("threshold"))
    assert [row.index for row in rows] == [1, 2]
    assert rows[0].reason == "reward above 0.2, of 3 correct"


def test_sound_keeps_sound_chains_only() -> None:
    row = rollout([True, True], texts=["It is 42\n\n## Answer\n\n42", SOUND], gold_steps=CHAIN)
    assert [one.index for one in kept(row, None, rule("sound"))] == [1]


@pytest.mark.parametrize(
    ("place", "text"), [(AnswerPlace.HEADING, "## Answer\n\n42"), (AnswerPlace.BOXED, r"\boxed{42}")]
)
def test_answers_trains_on_the_reference_alone_whatever_was_sampled(place: AnswerPlace, text: str) -> None:
    row = rollout([False, False])
    (one,) = select(row, None, rule("answers"), iteration=2, seed=0, place=place)
    assert (one.response, one.reason, one.iteration, one.tokens) == (text, "the reference answer", 2, None)
    assert one.index == 0
    unlabelled = row.model_copy(update={"question": row.question.model_copy(update={"answer": None})})
    too_long = row.model_copy(update={"responses": (), "problem": "too long"})
    assert [kept(other, None, rule("answers")) for other in (unlabelled, too_long)] == [(), ()]


def test_copies_count_once_and_leave_in_canonical_layout() -> None:
    row = rollout([True, True, True], texts=[SOUND, SOUND.replace("\n\n", "\n\n\n") + "\n", "b\n\n## Answer\n\n42"])
    rows = kept(row, [0.5, 0.9, 0.4], rule("top"))
    assert [(one.index, one.response) for one in rows] == [(0, SOUND), (2, "b\n\n## Answer\n\n42")]


def test_a_response_that_was_cut_off_is_left_out() -> None:
    row = rollout([True, True])
    cut = row.responses[0].response.model_copy(update={"finish_reason": FinishReason.LENGTH})
    responses = (row.responses[0].model_copy(update={"response": cut}), row.responses[1])
    rows = kept(row.model_copy(update={"responses": responses}), None, rule("all"))
    assert [one.index for one in rows] == [1]


@pytest.mark.parametrize("mode", ["top", "threshold"])
def test_ranking_needs_a_score_for_each_correct_response(mode: str) -> None:
    with pytest.raises(InvalidRecipe, match="response 1 of question q1 is correct but has no score"):
        kept(rollout([True, True, True]), [0.5, None, 0.5], rule(mode))


def test_random_draws_follow_the_seed_and_reach_everyone() -> None:
    row = rollout([True] * 5)
    draws = [tuple(one.index for one in kept(row, None, rule("random"), seed)) for seed in range(40)]
    assert draws == [tuple(one.index for one in kept(row, None, rule("random"), seed)) for seed in range(40)]
    assert {index for draw in draws for index in draw} == set(range(5))


def test_ties_of_the_reward_follow_the_seed() -> None:
    row = rollout([True, True])
    assert {kept(row, [0.5, 0.5], rule("top", k=1), seed)[0].index for seed in range(20)} == {0, 1}


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 0.9])), max_size=8),
    st.sampled_from(list(SelectionMode)),
    st.integers(1, 4),
    st.integers(0, 5),
)
def test_only_distinct_correct_responses_are_kept(
    table: list[tuple[bool, float]], mode: SelectionMode, k: int, seed: int
) -> None:
    row = rollout([right for right, _ in table])
    minima = [low for _, low in table]
    scores = scored(row, minima)
    recipe = SelectionRecipe(mode=mode, k=k)
    rows = select(row, scores, recipe, iteration=1, seed=seed)
    assert len(rows) <= recipe.rule.most_kept(recipe, len(table))
    if mode is SelectionMode.ANSWERS:
        assert [one.reason for one in rows] == ["the reference answer"]
        return
    assert all(row.responses[one.index].verdict.correct for one in rows)
    assert len({one.response for one in rows}) == len(rows)
    correct = [low for right, low in table if right]
    if mode in (SelectionMode.TOP, SelectionMode.RANDOM):
        assert len(rows) == min(k, len(correct))
    if mode is SelectionMode.TOP:
        assert sorted([one.reward or 0.0 for one in rows], reverse=True) == sorted(correct, reverse=True)[:k]
        assert [one.index for one in rows] == sorted(one.index for one in rows)


def test_soundness_compares_with_the_expectation_of_random_draws() -> None:
    texts = [SOUND, "x\n\n## Answer\n\n42", "y\n\n## Answer\n\n42", "z\n\n## Answer\n\n42"]
    row = rollout([True] * 4, texts=texts, gold_steps=CHAIN)
    top = kept(row, [0.9, 0.8, 0.1, 0.1], rule("top"))
    assert soundness([(row, top), (rollout([True]), ())], seed=0) == Soundness(judged=2, kept=1, random=0.5, best=1)
    assert soundness([(rollout([True]), kept(rollout([True]), None, rule("all")))], seed=0) == Soundness()
    both = rollout([True] * 4, texts=[SOUND, SOUND + ".0", *texts[2:]], gold_steps=CHAIN)
    chosen = kept(both, [0.9, 0.8, 0.1, 0.1], rule("top"))
    assert soundness([(both, chosen)], seed=0) == Soundness(judged=2, kept=2, random=1.0, best=2)


GRID = st.integers(10, 9_990).map(lambda place: place / 10_000)
JITTER = st.floats(-4e-7, 4e-7)


@given(
    st.lists(st.tuples(GRID, JITTER, JITTER), min_size=2, max_size=6),
    st.sampled_from([SelectionMode.TOP, SelectionMode.THRESHOLD]),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_last_bits_of_the_scores_change_neither_choice_nor_ranking(
    table: list[tuple[float, float, float]], mode: SelectionMode, k: int, seed: int
) -> None:
    row = rollout([True] * len(table))
    runs = [scored(row, [score + jitter for score, jitter in column]) for column in _runs(table)]
    assert runs[0] == runs[1]
    recipe = SelectionRecipe(mode=mode, k=k, alpha=table[0][0])
    first, second = (select(row, scores, recipe, iteration=1, seed=seed) for scores in runs)
    assert first == second
    assert ranked(row, runs[0], seed) == ranked(row, runs[1], seed)


def _runs(table: list[tuple[float, float, float]]) -> list[list[tuple[float, float]]]:
    return [[(one[0], one[place]) for one in table] for place in (1, 2)]
