"""Score shards: every wanted response gets its own steps' scores, and nothing is computed twice."""

from typing import Any

import pytest

from example_rows import rollout
from mstar.errors import StaleEpoch
from mstar.layout import scored_segments
from mstar.scoring import ScoreUse
from mstar.steps import ScoreParams, ScoreResult
from mstar.types import ScoreRow
from mstar_coordinator.worker.steps import score
from work_bench import Bench

GOOD, BAD = "good step\n\n## Answer\n\n42", "bad step\n\n## Answer\n\n42"


def scored(
    bench: Bench, use: ScoreUse = ScoreUse.RANKING, k: int = 2, *, savings: bool = False, name: str = "score"
) -> tuple[list[ScoreRow], ScoreResult]:
    params = ScoreParams(rows="rows", prm="prepare", use=use, k=k, savings=savings)
    artefact, result = score.run(bench.claim(name, params), bench.report, bench.context)
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
        assert [one.minimum for one in row.responses] == [0.9, 0.1, 0.1]
    assert (result.responses, result.scored) == (6, 6)


def test_only_correct_responses_are_sent_where_only_they_count(bench: Bench) -> None:
    solved = rollout([False, True, False], texts=["a", GOOD, "c"], name="solved")
    bench.keep("rows", [solved, rollout([False] * 3, name="unsolved")])
    rows, result = scored(bench, ScoreUse.SELECTION, 0, savings=True)
    assert [[one.index for one in row.responses] for row in rows] == [[1], []]
    assert [len(request.responses) for request in bench.prm.scored] == [1]
    assert (result.responses, result.scored) == (6, 1)


def test_equal_texts_of_one_question_are_scored_once(bench: Bench) -> None:
    sweep: list[Any] = [rollout([True] * 4, texts=[GOOD, BAD, GOOD, GOOD], temperature=t) for t in (0.3, 0.4, 0.5)]
    bench.keep("rows", sweep)
    rows, result = scored(bench)
    assert [tuple(one.text for one in request.responses) for request in bench.prm.scored] == [(GOOD, BAD)]
    assert [[one.minimum for one in row.responses] for row in rows] == [[0.9, 0.1, 0.9, 0.9]] * 3
    assert result.scored == 12


def test_a_blank_response_scores_nothing_and_is_not_sent(bench: Bench) -> None:
    bench.keep("rows", [rollout([False, True], texts=[" \n", GOOD])])
    rows, _ = scored(bench)
    assert [(one.index, one.minimum) for one in rows[0].responses] == [(0, 0.0), (1, 0.9)]


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
    claim = bench.claim("score", ScoreParams(rows="rows", prm="prepare", use=ScoreUse.RANKING, k=2, savings=False))

    def lost(done: int, total: int) -> None:
        if done == 3:
            raise StaleEpoch("cancelled")

    with pytest.raises(StaleEpoch):
        score.run(claim, lost, bench.context)
    assert len(bench.prm.scored) < 200
    assert bench.store.find(claim.output_id) is None
