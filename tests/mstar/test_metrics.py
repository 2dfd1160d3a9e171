"""The paper's measures, against hand counts and against drawing every subset."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from example_rows import rollout, scored
from mstar import metrics
from mstar.errors import InvalidInput
from mstar.types import Response

CHAIN = ("A is 12", "12 + 30 = 42")


def test_greedy_accuracy_and_tasks() -> None:
    rows = [rollout([True]), rollout([False]), rollout([True], group="VQA"), rollout([True], group="VQA")]
    assert metrics.greedy_accuracy(rows) == 0.75
    assert metrics.by_task(rows) == {"FQA": 0.5, "VQA": 1.0}


def test_sampled_accuracy_weighs_questions_alike() -> None:
    assert metrics.sampled_accuracy([rollout([True]), rollout([False, False, True, False])]) == 0.625


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.integers(1, 7))
def test_pass_at_k_is_the_mean_over_all_subsets(correct: list[bool], k: int) -> None:
    k = min(k, len(correct))
    subsets = list(combinations(correct, k))
    expected = sum(any(s) for s in subsets) / len(subsets)
    assert metrics.pass_at_k(len(correct), sum(correct), k) == pytest.approx(expected)


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=6), min_size=1, max_size=5))
def test_pass_at_k_grows_from_sampled_accuracy(table: list[list[bool]]) -> None:
    rows = [rollout(correct) for correct in table]
    curve = [metrics.mean_pass_at_k(rows, k) for k in (1, 2, 3, 4)]
    assert curve[0] == pytest.approx(metrics.sampled_accuracy(rows))
    assert curve == sorted(curve)


def test_pass_at_k_needs_k_samples() -> None:
    with pytest.raises(InvalidInput, match="needs at least 4 samples"):
        metrics.mean_pass_at_k([rollout([True, False])], 4)


def test_reward_pass_ranks_all_samples_before_any_filter() -> None:
    row = rollout([True, False, False, True])
    assert metrics.reward_pass_at_k([row], [scored(row, [0.1, 0.9, 0.8, 0.7])], 2, seed=0) == 0.0
    assert metrics.reward_pass_at_k([row], [scored(row, [0.1, 0.9, 0.2, 0.7])], 2, seed=0) == 1.0
    assert metrics.best_of_n([row], [scored(row, [0.1, 0.9, 0.2, 0.7])], seed=0) == 0.0


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.5, 1.0])), min_size=2, max_size=6), st.integers(0, 9))
def test_reward_pass_lies_between_best_of_n_and_pass_at_n(table: list[tuple[bool, float]], seed: int) -> None:
    row = rollout([right for right, _ in table])
    scores = scored(row, [low for _, low in table])
    best, two, everything = (metrics.reward_pass_at_k([row], [scores], k, seed) for k in (1, 2, len(table)))
    assert metrics.best_of_n([row], [scores], seed) == best <= two <= everything
    assert everything == metrics.mean_pass_at_k([row], len(table))


def test_equal_rewards_are_ordered_by_the_seed() -> None:
    row = rollout([True, False])
    seen = {metrics.best_of_n([row], [scored(row, [0.5, 0.5])], seed) for seed in range(20)}
    assert seen == {0.0, 1.0}


def test_every_response_must_be_scored_for_its_own_question() -> None:
    row = rollout([True, False])
    with pytest.raises(InvalidInput, match=r"responses \[1\] of question q1 have no score"):
        metrics.best_of_n([row], [scored(row, [0.5, None])], seed=0)
    with pytest.raises(InvalidInput, match="beside rollouts of q1"):
        metrics.best_of_n([row], [scored(rollout([True, False], name="q2"), [0.5, 0.5])], seed=0)


def test_headroom() -> None:
    assert metrics.headroom(0.75, 0.5) == 0.25


def test_nothing_sampled_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="nothing to average"):
        metrics.greedy_accuracy([])
    with pytest.raises(InvalidInput, match="q1 has no response"):
        metrics.sampled_accuracy([rollout([])])


def test_soundness_counts_correct_responses_with_a_known_chain() -> None:
    texts = ["A is 12\n\n12 + 30 = 42\n\n## Answer\n\n42", "42 maybe\n\n## Answer\n\n42", "no"]
    known = rollout([True, True, False], texts=texts, gold_steps=CHAIN)
    assert metrics.sound_among_correct([known, rollout([True])]) == 0.5
    assert metrics.sound_among_correct([rollout([True])]) is None
    assert Response(text=texts[0]).text == known.responses[0].response.text


def test_a_question_that_could_not_be_sampled_counts_as_not_solved() -> None:
    there, missing = rollout([True, True]), rollout([], name="q2").model_copy(update={"problem": "too long"})
    rows, scores = [there, missing], [scored(there, [0.5, 0.5]), scored(missing, [])]
    assert metrics.greedy_accuracy(rows) == metrics.sampled_accuracy(rows) == metrics.mean_pass_at_k(rows, 2) == 0.5
    assert metrics.reward_pass_at_k(rows, scores, 2, 0) == 0.5
    with pytest.raises(InvalidInput, match="q2 has no response"):
        metrics.greedy_accuracy([rollout([], name="q2")])
