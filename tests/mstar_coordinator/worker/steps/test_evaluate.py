"""One line of the results table from its shards."""

from example_rows import rollout, scored
from mstar.stages.evaluate import EvaluateParams, EvaluateResult
from mstar.types import RolloutRow
from mstar_coordinator.worker.steps import evaluate
from work_bench import Bench


def on(split: str, row: RolloutRow) -> RolloutRow:
    return row.model_copy(update={"question": row.question.model_copy(update={"split": split})})


def evaluated(bench: Bench, scores: tuple[str, ...]) -> EvaluateResult:
    params = EvaluateParams(label="it01", greedy=("greedy",), sampled=("sampled",), scores=scores, k=2)
    artefact, result = evaluate.run(bench.step("eval/it01/evaluate", params))
    assert artefact is None
    assert isinstance(result, EvaluateResult)
    return result


def test_greedy_and_sampled_shards_become_one_line(bench: Bench) -> None:
    known = [
        on("test_id", rollout([right], name=str(n), group="GPS" if n else "FQA")) for n, right in enumerate((1, 0))
    ]
    bench.keep("greedy", [*known, on("test_ood", rollout([True], name="ood"))])
    sampled = rollout([False, True, False, False])
    bench.keep("sampled", [sampled])
    bench.keep("scores", [scored(sampled, [0.9, 0.8, 0.2, 0.1])])
    line = evaluated(bench, ("scores",))
    assert (line.greedy.id, line.greedy.ood, line.greedy.by_task) == (0.5, 1.0, {"FQA": 1.0, "GPS": 0.0})
    assert (line.pass_at_k, line.reward_pass_at_2, line.best_of_n) == (0.5, 1.0, 0.0)
    assert (line.sampled_accuracy, line.headroom) == (0.25, 0.0)


def test_without_a_prm_and_a_foreign_test_there_are_no_such_numbers(bench: Bench) -> None:
    bench.keep("greedy", [on("test_id", rollout([True]))])
    bench.keep("sampled", [rollout([True, True])])
    line = evaluated(bench, ())
    assert (line.greedy.ood, line.reward_pass_at_2, line.best_of_n) == (None, None, None)


def test_further_tests_of_the_recipe_are_measured_by_name(bench: Bench) -> None:
    plan = bench.recipe.evaluation.model_copy(update={"sets": {"charts": 2, "maps": 1}})
    bench.recipe = bench.recipe.model_copy(update={"evaluation": plan})
    charts = [on("charts", rollout([right], name=f"c{right}")) for right in (True, False)]
    bench.keep("greedy", [on("test_id", rollout([True])), *charts, on("maps", rollout([True], name="m"))])
    bench.keep("sampled", [rollout([True, True])])
    assert evaluated(bench, ()).greedy.sets == {"charts": 0.5, "maps": 1.0}
