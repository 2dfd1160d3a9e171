"""Score shards: every wanted response gets its own steps' scores, and nothing is computed twice."""

from dataclasses import replace
from typing import Any

import pytest

from example_rows import rollout
from mstar.errors import StaleEpoch
from mstar.layout import scored_segments
from mstar.reward import RewardRule, reward
from mstar.stages.score import ScoreParams, ScoreResult
from mstar.types import ScoreRow, StepScores
from mstar_coordinator.worker.steps import score
from work_bench import ENDLESS, Bench

GOOD, BAD = "good step\n\n## Answer\n\n42", "bad step\n\n## Answer\n\n42"


def least(scores: StepScores) -> float:
    """The least score, the answer's included."""
    return reward(scores, None, RewardRule(answer_block=True))


def scored(bench: Bench, *, savings: bool = False, name: str = "score") -> tuple[list[ScoreRow], ScoreResult]:
    bench.use_prm(savings=savings)
    artefact, result = score.run(bench.step(name, ScoreParams(rows="rows", prm="prepare", k=2)))
    assert artefact is not None
    assert isinstance(result, ScoreResult)
    return list(bench.store.rows(artefact, ScoreRow)), result


def test_scores_stand_in_step_with_rows_and_responses(bench: Bench) -> None:
    texts = [GOOD, BAD, "other good\n\nbad end\n\n## Answer\n\n42"]
    bench.keep("rows", [rollout([True] * 3, texts=texts, name=name) for name in ("q2", "q1")])
    rows, result = scored(bench)
    assert [row.question_id for row in rows] == ["q2", "q1"]
    for row in rows:
        assert [one.index for one in row.responses] == [0, 1, 2]
        assert [one.steps for one in row.responses] == [scored_segments(text) for text in texts]
        assert [least(one) for one in row.responses] == [0.9, 0.1, 0.1]
    assert (result.responses, result.scored) == (6, 6)


def test_a_response_that_is_too_long_for_the_prm_is_its_own_problem(bench: Bench) -> None:
    long = f"{ENDLESS} step\n\n## Answer\n\n42"
    bench.keep("rows", [rollout([True] * 2, texts=[GOOD, long], name="q1"), rollout([True], texts=[long], name="q2")])
    rows, result = scored(bench)
    assert [[len(one.steps) for one in row.responses] for row in rows] == [[2, 0], [0]]
    assert (result.scored, result.refused, result.refused_of) == (1, 2, ("q1", "q2"))


def test_sampled_tokens_are_scored_with_the_steps_that_they_hold(bench: Bench) -> None:
    row = rollout([True] * 3, texts=[GOOD, GOOD, GOOD])
    tokens = [((5, 6, 7, 1), (2, 3)), ((5, 6, 7, 1), (2, 3)), ((5, 5, 6, 7, 1), (3, 4))]
    responses = tuple(
        one.model_copy(update={"response": one.response.model_copy(update={"token_ids": ids, "step_ends": ends})})
        for one, (ids, ends) in zip(row.responses, tokens, strict=True)
    )
    bench.keep("rows", [row.model_copy(update={"responses": responses, "vocabulary": "v"})])
    rows, _ = scored(bench)
    (request,) = bench.prm.scored
    assert [one.tokens and one.tokens.ids for one in request.responses] == [(5, 6, 7, 1), (5, 5, 6, 7, 1)]
    assert [one.steps for one in request.responses] == [scored_segments(GOOD)] * 2
    assert [len(one.scores) for one in rows[0].responses] == [2, 2, 2]


def test_steps_are_sent_as_the_recipe_separates_them(bench: Bench) -> None:
    prompt = bench.recipe.prompt.model_copy(update={"step_separator": "\n"})
    bench.recipe = bench.recipe.model_copy(update={"prompt": prompt})
    row = rollout([True] * 2, texts=["a\nb\n\n## Answer\n\n42", "c\nbad\n## Answer\n\n42"])
    said = row.responses[0].response.model_copy(update={"token_ids": (5, 6, 7, 1), "step_ends": (1, 2, 3)})
    first = row.responses[0].model_copy(update={"response": said})
    own = row.model_copy(update={"responses": (first, row.responses[1]), "vocabulary": "v", "step_separator": "\n"})
    bench.keep("rows", [own])
    scored(bench)
    (request,) = bench.prm.scored
    assert request.step_separator == "\n"
    assert [one.steps for one in request.responses] == [("a", "b", "## Answer\n\n42"), None]


def test_what_is_decided_in_any_order_is_not_sent(bench: Bench) -> None:
    open_row = rollout([False, True, False], texts=["a", GOOD, "c"], name="open")
    bench.keep("rows", [open_row, rollout([False] * 3, name="unsolved"), rollout([True] * 3, name="solved")])
    rows, result = scored(bench, savings=True)
    assert [[one.index for one in row.responses] for row in rows] == [[0, 1, 2], [], []]
    assert [len(request.responses) for request in bench.prm.scored] == [3]
    assert (result.responses, result.scored) == (9, 3)


def test_equal_texts_of_one_question_are_scored_once(bench: Bench) -> None:
    sweep: list[Any] = [rollout([True] * 4, texts=[GOOD, BAD, GOOD, GOOD], temperature=t) for t in (0.3, 0.4, 0.5)]
    bench.keep("rows", sweep)
    rows, result = scored(bench)
    assert [tuple(one.text for one in request.responses) for request in bench.prm.scored] == [(GOOD, BAD)]
    assert [[least(one) for one in row.responses] for row in rows] == [[0.9, 0.1, 0.9, 0.9]] * 3
    assert result.scored == 12


def test_a_blank_response_scores_nothing_and_is_not_sent(bench: Bench) -> None:
    bench.keep("rows", [rollout([False, True], texts=[" \n", GOOD])])
    rows, _ = scored(bench)
    assert [(one.index, least(one)) for one in rows[0].responses] == [
        (0, 0.0),
        (1, 0.9),
    ]


def test_many_texts_are_cut_into_requests_that_the_service_takes(bench: Bench) -> None:
    texts = [f"good {place}" for place in range(300)]
    bench.keep("rows", [rollout([False] * 300, texts=texts)])
    rows, _ = scored(bench)
    assert sorted(len(request.responses) for request in bench.prm.scored) == [44, 256]
    assert [one.steps for one in rows[0].responses] == [(text,) for text in texts]


def test_scoring_again_gives_the_same_artefact(bench: Bench) -> None:
    rows: list[Any] = [rollout([True] * 3, name=f"q{place}") for place in range(20)]
    bench.keep("rows", rows)
    first, _ = scored(bench, name="a")
    second, _ = scored(bench, name="b")
    assert first == second


def test_a_lost_lease_stops_the_requests(bench: Bench) -> None:
    rows: list[Any] = [rollout([True] * 3, name=f"q{place}") for place in range(200)]
    bench.keep("rows", rows)
    step = bench.step("score", ScoreParams(rows="rows", prm="prepare", k=2))

    def lost(done: int, total: int) -> None:
        if done == 3:
            raise StaleEpoch("cancelled")

    with pytest.raises(StaleEpoch):
        score.run(replace(step, progress=lost))
    assert len(bench.prm.scored) < 200
    assert bench.store.find(step.claim.output_id) is None
