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
    # Greedy finds on validation what it misses on the test, and headroom is the one on validation.
    beside = on("validation", rollout([True]))
    known = [
        on("test_id", rollout([right], name=str(n), group="GPS" if n else "FQA")) for n, right in enumerate((1, 0))
    ]
    bench.keep("greedy", [*known, on("test_ood", rollout([True], name="ood")), beside])
    sampled = rollout([False, True, False, False])
    bench.keep("sampled", [sampled])
    bench.keep("scores", [scored(sampled, [0.9, 0.8, 0.2, 0.1])])
    line = evaluated(bench, ("scores",))
    assert (line.greedy.id, line.greedy.ood, line.greedy.by_task) == (0.5, 1.0, {"FQA": 1.0, "GPS": 0.0})
    assert (line.pass_at_k, line.reward_pass_at_2, line.best_of_n) == (0.5, 1.0, 0.0)
    assert (line.sampled_accuracy, line.headroom) == (0.25, -0.5)
    assert line.greedy.groups == {"test_id": {"FQA": 1.0, "GPS": 0.0}, "test_ood": {"FQA": 1.0}}
    assert line.validation is not None
    assert (line.validation.greedy, line.validation.best_of_n) == (1.0, 0.0)
    assert line.validation.pass_by_temperature == {"1.0": 0.5}


def test_votes_stand_beside_best_of_n(bench: Bench) -> None:
    bench.keep("greedy", [on("test_id", rollout([True]))])
    texts = [f"A is 12\n\n## Answer\n\n{said}" for said in ("42", "7", "42", "9")]
    one, other = rollout([True, False, True, False], texts=texts), rollout([False, True], texts=[texts[1], texts[0]])
    bench.keep("sampled", [one, other])
    bench.keep("scores", [scored(one, [0.1, 0.9, 0.2, 0.3]), scored(other, [0.4, 0.8])])
    votes = evaluated(bench, ("scores",)).validation
    assert votes is not None and votes.weighted_vote == 0.5 == votes.best_of_n
    # Of two different answers either may win, so the majority is right about the first question for sure.
    assert votes.majority in (0.5, 1.0)
    assert evaluated(bench, ()).headroom is None, "an earlier version left no greedy answers on validation"


def test_further_temperatures_have_their_pass_at_k(bench: Bench) -> None:
    bench.keep("greedy", [on("test_id", rollout([True]))])
    bench.keep("sampled", [rollout([True, False])])
    bench.keep("spread", [rollout([False, False], temperature=t) for t in (0.5, 1.0)])
    params = EvaluateParams(label="it01", greedy=("greedy",), sampled=("sampled",), scores=(), spread=("spread",), k=2)
    _, line = evaluate.run(bench.step("eval/it01/evaluate", params))
    assert line.validation is not None and line.validation.pass_by_temperature == {"0.5": 0.0, "1.0": 1.0}


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
