"""Selection over shards: order, counts and soundness."""

from example_rows import rollout, scored
from mstar.recipes import SelectionMode, SelectionRecipe
from mstar.steps import SelectParams, SelectResult
from mstar.types import SelectedRow
from mstar_coordinator.work import select
from work_bench import Bench


def selected(bench: Bench, rule: SelectionRecipe, scores: tuple[str, ...]) -> tuple[list[SelectedRow], SelectResult]:
    params = SelectParams(iteration=1, rows=("rows/0", "rows/1"), scores=scores, rule=rule)
    artefact, result = select.run(bench.claim("it01/select", params), bench.report, bench.context)
    assert artefact is not None
    assert isinstance(result, SelectResult)
    return list(bench.store.rows(artefact, SelectedRow)), result


def shards(bench: Bench) -> None:
    first = rollout([True, True, True], name="q2")
    second = rollout([False, True], name="q1", gold_steps=("step 1",))
    bench.keep("rows/0", [first])
    bench.keep("rows/1", [second, rollout([False], name="q0")])
    bench.keep("scores/0", [scored(first, [0.1, 0.9, 0.5])])
    bench.keep("scores/1", [scored(second, [None, 0.2]), scored(rollout([False], name="q0"), [None])])


def test_the_best_of_each_question_follow_the_order_of_the_shards(bench: Bench) -> None:
    shards(bench)
    rows, result = selected(bench, SelectionRecipe(mode=SelectionMode.TOP, k=2), ("scores/0", "scores/1"))
    assert [(row.question.id, row.index, row.reward) for row in rows] == [
        ("q2", 1, 0.9),
        ("q2", 2, 0.5),
        ("q1", 1, 0.2),
    ]
    assert (result.questions, result.responses, result.correct, result.kept) == (3, 6, 4, 3)
    assert (result.solved_questions, result.temperature, result.weight_version) == (2, 1.0, "v1")
    assert (result.sound_among_kept, result.sound_among_random) == (1.0, 1.0)


def test_rules_without_scores_need_none(bench: Bench) -> None:
    shards(bench)
    rows, _ = selected(bench, SelectionRecipe(mode=SelectionMode.ALL), ())
    assert [(row.question.id, row.index) for row in rows] == [("q2", 0), ("q2", 1), ("q2", 2), ("q1", 1)]
    assert {row.prm_version for row in rows} == {None}
