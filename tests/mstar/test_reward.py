"""R_p: the minimum over the steps as in the paper, other aggregates, and what counts as a step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.reward import Aggregate, RewardRule, aggregated, is_chain, reward, states_answer_only
from mstar.types import CheckedResponse, Response, StepScores, Verdict

ANSWER = "## Answer\n\n7"
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def chain(*scores: float, block: float | None = None) -> StepScores:
    steps = [f"step {place}" for place in range(len(scores))]
    if block is None:
        return StepScores(index=0, steps=tuple(steps), scores=scores)
    return StepScores(index=0, steps=(*steps, ANSWER), scores=(*scores, block))


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [("min", 0.5), ("mean", 2.2 / 3), ("product", 0.36), ("last", 0.9), ("length_min", 0.875)],
)
def test_each_aggregate_over_the_steps(aggregate: str, expected: float) -> None:
    scores = chain(0.8, 0.5, 0.9, block=0.1)
    assert reward(scores, None, RewardRule(aggregate=Aggregate(aggregate))) == pytest.approx(expected)


def test_the_answer_block_counts_only_where_it_is_asked_for() -> None:
    scores = chain(0.8, 0.5, block=0.1)
    assert reward(scores, "7", RewardRule()) == 0.5
    assert reward(scores, "7", RewardRule(answer_block=True)) == 0.1
    assert reward(chain(block=0.9), "7", RewardRule()) == 0.0, "no step"
    assert reward(chain(block=0.9), "7", RewardRule(answer_block=True)) == 0.9
    assert reward(StepScores(index=0, steps=(), scores=()), None, RewardRule(answer_block=True)) == 0.0


@given(SCORES, st.sampled_from(Aggregate))
def test_a_reward_is_a_share_and_rises_with_every_score(scores: list[float], aggregate: Aggregate) -> None:
    rule, steps = RewardRule(aggregate=aggregate), [f"s{place}" for place in range(len(scores))]
    found = aggregated(steps, scores, None, rule)
    assert 0.0 <= found <= 1.0
    for place in range(len(scores)):
        higher = [*scores[:place], 1.0, *scores[place + 1 :]]
        assert aggregated(steps, higher, None, rule) >= found - 1e-12


@given(st.floats(0, 1), st.integers(1, 11), st.sampled_from(Aggregate))
def test_one_step_has_its_own_score_and_length_is_corrected(score: float, more: int, aggregate: Aggregate) -> None:
    assert aggregated(["s"], [score], None, RewardRule(aggregate=aggregate)) == pytest.approx(score)
    longer = aggregated(["s"] * (more + 1), [score] * (more + 1), None, RewardRule(aggregate=Aggregate.LENGTH_MIN))
    assert longer >= score - 1e-12, "the least of many is lower by chance"


@pytest.mark.parametrize(
    ("segment", "answer", "only"),
    [
        (ANSWER, None, True),
        ("**Answer:** 7", None, True),
        ("7", "7", True),
        ("**7**.", "7", True),
        ("$\\boxed{7}$", "7", True),
        ("(B)", "B", True),
        ("It is 7", "7", False),
        ("7", "8", False),
        ("7", None, False),
        ("-7", "7", False),
        ("3 + 4 = 7", "7", False),
    ],
)
def test_a_paragraph_that_states_the_answer_only_is_no_step(segment: str, answer: str | None, only: bool) -> None:
    assert states_answer_only(segment, answer) is only


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (ANSWER, 0),
        (f"7\n\n{ANSWER}", 0),
        (f"It looks like 7\n\n{ANSWER}", 1),
        (f"A is 3\n\n7\n\n3 + 4 = 7\n\n{ANSWER}", 2),
        ("A is 3\n\nso 7", 2),
        ("", 0),
    ],
)
def test_a_chain_has_steps_besides_its_answer(text: str, steps: int) -> None:
    checked = CheckedResponse(index=0, response=Response(text=text), verdict=Verdict(correct=True, extracted="7"))
    assert [is_chain(checked, least) for least in range(4)] == [least <= steps for least in range(4)]
