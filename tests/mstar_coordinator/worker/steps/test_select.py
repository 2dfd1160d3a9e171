"""Selection of one shard: what is asked of the PRM, what is kept, counts and soundness."""

from pathlib import Path

from example_rows import rollout
from mstar.selection_rules import SelectionMode, SelectionRecipe
from mstar.stages.select import SelectParams, SelectResult
from mstar.types import RolloutRow, SampledTokens, ScoreRow, SelectedRow
from mstar_artefacts.store import SCORES
from mstar_coordinator.worker.steps import select
from work_bench import Bench

TOP = SelectionRecipe(mode=SelectionMode.TOP, k=2)
TEXTS = ["bad start\n\n## Answer\n\n42", "good start\n\n## Answer\n\n42", "fair start\n\n## Answer\n\n42"]


def shard() -> list[RolloutRow]:
    """Three right responses of which one is weak; one right of two; none."""
    return [
        rollout([True, True, True], name="q2", texts=TEXTS),
        rollout([False, True], name="q1", gold_steps=("step 1",)),
        rollout([False], name="q0"),
    ]


def selected(
    bench: Bench, rule: SelectionRecipe, *, savings: bool = True
) -> tuple[list[SelectedRow], list[ScoreRow], SelectResult]:
    prm = "prepare" if rule.mode is SelectionMode.TOP else None
    bench.use_prm(savings=savings)
    params = SelectParams(iteration=1, rows="rows/0", prm=prm, rule=rule)
    artefact, result = select.run(bench.step("it01/select/0000", params))
    assert artefact is not None
    assert isinstance(result, SelectResult)
    rows, scores = bench.store.rows(artefact, SelectedRow), bench.store.rows(artefact, ScoreRow, SCORES)
    return list(rows), list(scores), result


def test_the_prm_is_asked_where_the_choice_hangs_on_it(bench: Bench) -> None:
    bench.prepare()
    bench.keep("rows/0", shard())
    rows, scores, result = selected(bench, TOP)
    assert [(row.question.id, row.index, row.reward) for row in rows] == [
        ("q2", 1, 0.9),
        ("q2", 2, 0.9),
        ("q1", 1, None),
    ]
    assert [[one.index for one in score.responses] for score in scores] == [[0, 1, 2], [], []]
    assert (result.questions, result.responses, result.correct, result.scored, result.kept) == (3, 6, 4, 3, 3)
    assert (result.solved_questions, result.temperature, result.weight_version) == (2, 1.0, "v1")
    assert (result.soundness.judged, result.soundness.kept, result.soundness.random) == (1, 1, 1.0)
    assert result.prm_version == {score.prm_version for score in scores}.pop()


def test_without_savings_every_response_is_scored_and_the_same_are_kept(bench: Bench) -> None:
    bench.prepare()
    bench.keep("rows/0", shard())
    rows, scores, result = selected(bench, TOP, savings=False)
    assert [(row.question.id, row.index) for row in rows] == [("q2", 1), ("q2", 2), ("q1", 1)]
    assert result.scored == sum(len(score.responses) for score in scores) == 6


def test_a_shard_that_was_chosen_from_is_adopted_and_not_scored_again(bench: Bench) -> None:
    bench.prepare()
    bench.keep("rows/0", shard())
    first = selected(bench, TOP)
    asked = len(bench.prm.scored)
    rows, scores, result = selected(bench, TOP)
    assert (rows, scores) == first[:2]
    assert result.model_copy(update={"seconds": 0.0}) == first[2].model_copy(update={"seconds": 0.0})
    assert len(bench.prm.scored) == asked


def test_rules_without_scores_ask_nothing(bench: Bench) -> None:
    bench.keep("rows/0", shard())
    rows, scores, result = selected(bench, SelectionRecipe(mode=SelectionMode.ALL))
    assert [(row.question.id, row.index) for row in rows] == [("q2", 0), ("q2", 1), ("q2", 2), ("q1", 1)]
    assert {row.prm_version for row in rows} == {None}
    assert (scores, result.prm_version, bench.prm.requests) == ([], None, [])


def test_last_bits_of_the_scores_change_no_byte_of_what_is_kept(tmp_path: Path) -> None:
    recipe, left = None, set()
    for name, jitter in (("none", 0.0), ("up", 3.6e-7), ("down", -3.6e-7)):
        bench = Bench(tmp_path / name)
        bench.recipe = recipe = recipe or bench.recipe
        bench.prm.jitter = jitter
        bench.prepare()
        bench.keep("rows/0", shard())
        # Two of three are worth the same, and one is kept.
        selected(bench, SelectionRecipe(mode=SelectionMode.TOP, k=1))
        left.add(bench.store.find("r-1/it01/select/0000"))
    assert len(left) == 1


def test_what_was_sampled_goes_on_with_the_row(bench: Bench) -> None:
    bench.prepare()
    row = rollout([True], texts=[TEXTS[1]])
    said = row.responses[0].response.model_copy(update={"token_ids": (5, 6, 7, 1), "step_ends": (2, 3)})
    responses = (row.responses[0].model_copy(update={"response": said}),)
    bench.keep("rows/0", [row.model_copy(update={"responses": responses, "vocabulary": "v"})])
    (kept,), _, _ = selected(bench, SelectionRecipe(mode=SelectionMode.ALL))
    assert kept.tokens == SampledTokens(ids=(5, 6, 7, 1), ends=(2, 3), vocabulary="v")


def test_unlabelled_questions_are_kept_by_the_vote_and_counted_apart(bench: Bench) -> None:
    bench.prepare()
    bench.use_prm(savings=True)
    free = rollout([False, False, False], name="q3", texts=[TEXTS[1], TEXTS[2], "good start\n\n## Answer\n\n41"])
    unlabelled = free.model_copy(update={"question": free.question.model_copy(update={"answer": None})})
    bench.keep("rows/0", [unlabelled, rollout([True, True], name="q1")])
    params = SelectParams(iteration=1, rows="rows/0", prm="prepare", rule=TOP, votes=True)
    artefact, result = select.run(bench.step("it01/select/0000", params))
    assert artefact is not None and isinstance(result, SelectResult)
    rows = list(bench.store.rows(artefact, SelectedRow))
    assert [(row.question.id, row.index) for row in rows] == [("q3", 0), ("q3", 1), ("q1", 0), ("q1", 1)]
    assert rows[0].question.answer is not None and rows[0].question.answer.value == "42"
    assert "by pseudo-answer" in rows[0].reason and "pseudo" not in rows[2].reason
    assert (result.correct, result.unlabelled, result.responses, result.scored) == (2, 3, 5, 3)
