"""A set of a run that is called as a published benchmark: asked and judged as the benchmark does, in its groups."""

from dataclasses import replace
from pathlib import Path

import pytest

from example_rows import rollout
from mstar.api.policy import RolloutReply, RolloutRequest, Usage
from mstar.errors import InvalidDataset
from mstar.judges.in_runs import official_sets
from mstar.judges.mathvista import COLUMNS
from mstar.recipes import EvaluationRecipe
from mstar.stages.evaluate import EvaluateParams
from mstar.stages.generate import GenerateParams, Sampling
from mstar.types import Response, RolloutRow
from mstar_coordinator.worker.clients import PolicyService
from mstar_coordinator.worker.published import items_by_question
from mstar_coordinator.worker.steps import evaluate, generate, prepare
from work_bench import Bench, RulePolicy


def on(split: str, row: RolloutRow) -> RolloutRow:
    return row.model_copy(update={"question": row.question.model_copy(update={"split": split})})


PUBLISHED = Path(__file__).parents[3] / "cases" / "benchmarks" / "published"


class Parrot(RulePolicy):
    """Says the answers that it is given, one a question, in the paper's layout."""

    def __init__(self, answers: list[str]) -> None:
        super().__init__()
        self.answers = answers

    def answer(self, path: str, body: bytes) -> str:
        if path != "/v1/rollouts":
            return super().answer(path, body)
        request = RolloutRequest.model_validate_json(body)
        version = self.check_version(request.weight_version)
        self.rollouts.append(request)
        said = [self.answers[place % len(self.answers)] for place in range(len(request.prompts))]
        samples = tuple((Response(text=f"I look.\n\n## Answer\n\n{one}", token_ids=(1,)),) for one in said)
        return RolloutReply(weight_version=version, samples=samples, usage=Usage()).model_dump_json()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    plan = EvaluationRecipe(sets={"mathvista": 20}, benchmarks=str(PUBLISHED))
    bench.recipe = bench.recipe.model_copy(update={"evaluation": plan})
    return bench


def test_items_are_asked_by_the_official_prompt_and_judged_by_the_official_rule(bench: Bench) -> None:
    bench.prepare()
    prepared = bench.inputs["prepare"].artefact
    assert prepared is not None
    asked = prepare.questions(bench.store, prepared, "mathvista")
    items = items_by_question(bench.store, prepared, "mathvista")
    assert len(asked) == 20 and {one.group for one in asked} <= set(COLUMNS)
    parrot = Parrot([items[one.id].gold for one in asked[:10]] + ["no idea"] * 10)
    bench.context = replace(bench.context, policy=PolicyService("http://policy", transport=parrot))
    params = GenerateParams(
        purpose="eval", split="mathvista", start=0, count=20, draws=(Sampling(n=1, temperature=0.0),), weights="prepare"
    )
    bench.done("eval/base/mathvista/0000", *generate.run(bench.step("eval/base/mathvista/0000", params)))
    sent = parrot.rollouts[0].prompts
    assert all("Hint: Please answer the question" in prompt.question for prompt in sent)
    assert all('the heading "## Answer"' in prompt.question for prompt in sent), "the run's own instruction"
    ref = bench.inputs["eval/base/mathvista/0000"].artefact
    assert ref is not None
    rows = list(bench.store.rows(ref, RolloutRow))
    right = [row.responses[0].verdict.correct for row in rows]
    assert right[:10] == [True] * 10 and sum(right[10:]) < 10
    bench.keep("greedy", [*rows, on("test_id", rollout([True]))])
    bench.keep("sampled", [rollout([True, False])])
    line = EvaluateParams(label="base", greedy=("greedy",), sampled=("sampled",), scores=(), k=2)
    accuracy = evaluate.run(bench.step("eval/base/evaluate", line))[1].greedy
    assert accuracy.sets["mathvista"] == sum(right) / 20 and set(accuracy.groups["mathvista"]) <= set(COLUMNS)


def test_more_items_than_there_are_name_the_field(bench: Bench) -> None:
    plan = EvaluationRecipe(sets={"mathvista": 21}, benchmarks=str(PUBLISHED))
    bench.recipe = bench.recipe.model_copy(update={"evaluation": plan})
    with pytest.raises(InvalidDataset, match=r"MathVista.* has 20 items, not 21") as refused:
        bench.prepare()
    assert refused.value.field == "evaluation.sets.mathvista"


def test_a_set_of_that_name_in_the_data_set_keeps_the_answer_check(bench: Bench) -> None:
    ours = bench.recipe.evaluation.model_copy(update={"benchmarks": None})
    assert official_sets(bench.recipe.model_copy(update={"evaluation": ours})) == {}
    assert list(official_sets(bench.recipe)) == ["mathvista"]
