"""An evaluation through the queue: its steps, one after another, find what `mstar eval` finds."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mstar.api.policy import RefusedPrompt, RolloutReply, RolloutRequest, Usage
from mstar.api.prm import ScoredResponse, ScoredStep, ScoreReply, ScoreRequest
from mstar.errors import InvalidDataset
from mstar.evolution import graph
from mstar.http_json import Target
from mstar.judges import BENCHMARKS
from mstar.judges.asking import Asking
from mstar.judges.in_runs import reference_of
from mstar.layout import scored_segments
from mstar.needed_scores import NO_SAVINGS
from mstar.prompts import PRESETS, PromptPreset
from mstar.recipes import MeasuredSet, MeasureRecipe, ModelRecipe, PrmRecipe, Recipe
from mstar.seeds import derive
from mstar.stages import STAGES
from mstar.stages.measure import MeasureResult
from mstar.steps import ArtefactRef
from mstar.types import FinishReason, Response, RolloutRow
from mstar_coordinator.worker.registry import work_of
from mstar_data.benchmarks import items_of
from mstar_eval.evaluation import complete, response_path
from mstar_eval.measuring import write_result
from mstar_eval.responses import ResponseFile, Settings, read_responses
from mstar_eval.services import ModelServices
from work_bench import RUN, Bench, RulePolicy, RulePrm, RuleService

PUBLISHED = Path(__file__).parents[3] / "cases" / "benchmarks" / "published"
SETS = {"mathvista": 20, "mmbench": 20}
ASKING = Asking(name="run", form=PRESETS[PromptPreset.BOXED])


class DrawingPolicy(RulePolicy):
    """Chooses among answers by seed and draw alone; refuses prompts that hold `too_long`."""

    def answer(self, path: str, body: bytes) -> str:
        if path != "/v1/rollouts":
            return super().answer(path, body)
        request = RolloutRequest.model_validate_json(body)
        refused = [
            place for place, one in enumerate(request.prompts) if self.too_long and self.too_long in one.question
        ]
        samples = tuple(
            tuple(_drawn(one.seed, draw) for draw in range(0 if place in refused else one.n))
            for place, one in enumerate(request.prompts)
        )
        named = tuple(RefusedPrompt(index=place, detail="too long for the model") for place in refused)
        version = self.loaded or "v@1"
        reply = RolloutReply(
            weight_version=version, samples=samples, usage=Usage(), refused=named, vocabulary="a vocabulary"
        )
        return reply.model_dump_json()


def _drawn(seed: int, draw: int) -> Response:
    chosen = derive(seed, draw)
    answer = ("A", "B", "C", "D", "2", "7.5")[chosen % 6]
    ended = FinishReason.LENGTH if chosen % 7 == 0 else FinishReason.STOP
    return Response(
        text=f"step {chosen % 97}\n\nthen \\boxed{{{answer}}}", token_ids=(1, 2), step_ends=(1, 2), finish_reason=ended
    )


class DrawingPrm(RulePrm):
    """Scores a step by its text and by the question it belongs to."""

    def answer(self, path: str, body: bytes) -> str:
        if path != "/v1/score":
            return super().answer(path, body)
        request = ScoreRequest.model_validate_json(body)
        assert not request.system and all(one.text is not None for one in request.responses)
        results = []
        for index, one in enumerate(request.responses):
            steps = tuple(
                ScoredStep(text=text, score=derive(0, request.question, text) % 10_007 / 10_007)
                for text in scored_segments(one.text or "")
            )
            results.append(ScoredResponse(index=index, score=min(step.score for step in steps), steps=steps))
        return ScoreReply(model_version=self.loaded or "", results=tuple(results)).model_dump_json()


class Both(httpx2.BaseTransport):
    """The two services as `mstar eval` reaches them."""

    def __init__(self, policy: RuleService, prm: RuleService) -> None:
        self.services = {"policy": policy, "prm": prm}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self.services[request.url.host].handle_request(request)


def recipe_of(bench: Bench, n: int, **changes: Any) -> Recipe:
    measure = MeasureRecipe(
        model="mine",
        sets={name: MeasuredSet(path=str(PUBLISHED), items=count) for name, count in SETS.items()},
        n=n,
        temperature=0.8 if n > 1 else 0.0,
        prompt=ASKING.name,
        form=ASKING.form,
        **changes,
    )
    prm = PrmRecipe(base=bench.recipe.model.base, train=None, savings=NO_SAVINGS) if n > 1 else None
    return bench.recipe.model_copy(update={"measure": measure, "prm": prm, "seed": 5})


@pytest.fixture
def empty(tmp_path: Path) -> Bench:
    """A bench with services that answer any question, and nothing done yet."""
    return Bench(tmp_path, DrawingPolicy(), DrawingPrm())


def through_the_graph(bench: Bench) -> MeasureResult:
    """Do every step in the graph's order."""
    result: Any = None
    for spec in graph(bench.recipe, 0):
        made = dict(bench.inputs)
        # As a worker gets it: with what the graph says that it needs, and nothing else.
        bench.inputs = {need: made[need] for need in spec.needs}
        artefact, result = work_of(STAGES[spec.params.kind])(bench.step(spec.name, spec.params))
        bench.inputs = made
        bench.done(spec.name, artefact, result)
    assert isinstance(result, MeasureResult)
    return result


def here(bench: Bench, name: str, n: int, out: Path) -> tuple[Any, Path]:
    """What `mstar eval` does: its result and its folder."""
    benchmark = BENCHMARKS[name]
    shown = list(items_of(benchmark, PUBLISHED))
    settings = Settings(
        benchmark=name, data_sha256="", model="mine", model_version="", n=n, temperature=0.8 if n > 1 else 0.0,
        max_tokens=bench.recipe.generation.max_tokens, top_p=1.0, seed=5, asking=ASKING,
    )  # fmt: skip
    file = ResponseFile(response_path(out, benchmark), settings)
    urls = Target("http://policy"), Target("http://prm") if n > 1 else None
    with ModelServices(*urls, transport=Both(bench.policy, bench.prm)) as services:
        complete(benchmark, shown, file, services)
    return write_result(benchmark, [one.item for one in shown], file, out), out


@pytest.mark.parametrize("n", [1, 4])
def test_the_steps_of_an_evaluation_find_what_the_command_finds(empty: Bench, tmp_path: Path, n: int) -> None:
    empty.recipe = recipe_of(empty, n)
    found = through_the_graph(empty)
    folder = tmp_path / "home" / RUN / "evaluation"
    whole = json.loads((folder / "results.json").read_text())["benchmarks"]
    for name in SETS:
        result, out = here(empty, name, n, tmp_path / "here")
        responses = [read_responses(response_path(one, BENCHMARKS[name]))[1] for one in (folder, out)]
        assert responses[0] == responses[1]
        verdicts = f"verdicts/{name}.jsonl"
        assert (folder / verdicts).read_text() == (out / verdicts).read_text()
        assert found.benchmarks[name].lines == result.lines
        assert {reason.split()[0] for reason in result.reasons} == {"right", "wrong"}, "else equality says little"
        ours = json.loads(result.model_dump_json(exclude={"settings"}))
        assert {key: value for key, value in whole[name].items() if key != "settings"} == ours
    assert {line.measure for line in found.benchmarks["mathvista"].lines} == (
        {"greedy"} if n == 1 else {"mean of 4", "best of 4 by the PRM", "any of 4"}
    )
    assert len(list(folder.glob("vlmevalkit/mine/*"))) == 4
    golds = {f"mmbench/{one.item.id}": reference_of(one.item) for one in items_of(BENCHMARKS["mmbench"], PUBLISHED)}
    shards = [done.artefact for step, done in empty.inputs.items() if step.startswith("eval/mmbench/generate")]
    rows = [row for shard in shards if shard is not None for row in empty.store.rows(shard, RolloutRow)]
    assert {row.question.id: row.reference for row in rows} == golds, "people see it"
    assert not any(row.question.answer for row in rows), "nothing can train on it"


def test_an_item_that_cannot_be_asked_counts_as_wrong(empty: Bench) -> None:
    item = next(items_of(BENCHMARKS["mathvista"], PUBLISHED)).item  # another one asks the same
    empty.policy.too_long = item.question
    empty.recipe = recipe_of(empty, 1)
    table = through_the_graph(empty).benchmarks["mathvista"]
    assert (table.items, table.refused, table.refusal) == (20, 2, "too long for the model")


def test_a_checkpoint_of_a_run_is_copied_and_named_in_the_results(empty: Bench, tmp_path: Path) -> None:
    def checkpoint(name: str) -> ArtefactRef:
        def fill(folder: Path) -> None:
            (folder / "model").mkdir()
            for file in ("config.json", "model.safetensors"):
                (folder / "model" / file).write_text(f"{name} {file}")

        return empty.store.write(f"r-0/{name}/train", fill, {})

    policy, prm = checkpoint("it01"), checkpoint("reward")
    recipe = recipe_of(empty, 2, checkpoint=policy, prm_checkpoint=prm)
    gone = ModelRecipe(base=str(tmp_path / "gone"))
    assert recipe.prm is not None
    own = recipe.prm.model_copy(update={"base": gone.base})
    empty.recipe = recipe.model_copy(update={"model": gone, "prm": own})
    through_the_graph(empty)
    for step, name in (("prepare", "it01"), ("reward/fetch", "reward")):
        artefact = empty.inputs[step].artefact
        assert artefact is not None
        assert (empty.store.verify(artefact, "model") / "config.json").read_text() == f"{name} config.json"
    results = json.loads((tmp_path / "home" / RUN / "evaluation" / "results.json").read_text())
    settings = results["benchmarks"]["mathvista"]["settings"]
    assert (settings["model_version"], settings["prm_version"]) == (policy.version, prm.version)


def test_files_that_changed_since_are_named(empty: Bench) -> None:
    empty.recipe = recipe_of(empty, 1, limit=1)
    with pytest.raises(InvalidDataset, match=r"has 5 items of MathVista now and had 20"):
        through_the_graph(empty)
