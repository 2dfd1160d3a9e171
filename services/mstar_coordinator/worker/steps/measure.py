"""The tables of an evaluation, and its result files in the run's folder: judged and written as `mstar eval` does."""

import time
from pathlib import Path

from mstar.judges import Benchmark
from mstar.judges.in_runs import asking_of, official_sets, question_id
from mstar.recipes import MeasureRecipe
from mstar.stages.measure import MeasuredTable, MeasureParams, MeasureResult
from mstar.step_names import FETCH, PREPARE
from mstar.types import FinishReason, RolloutRow, ScoreRow
from mstar_coordinator.export.folders import replace_folder
from mstar_coordinator.worker.context import ClaimedStep, Output
from mstar_coordinator.worker.published import items_by_question
from mstar_coordinator.worker.steps.prepare import questions
from mstar_data.benchmarks import digest_of
from mstar_eval.evaluation import refused, response_path
from mstar_eval.measuring import write_result, write_summary
from mstar_eval.responses import ResponseFile, Responses, Settings
from mstar_eval.results import BenchmarkResult, EvaluationResult

FOLDER = "evaluation"
"""In the run's folder."""
LEFT_OUT = "it ended every worker that worked on it"


def run(step: ClaimedStep[MeasureParams]) -> Output[MeasureResult]:
    """No artefact: the files stand in the run's folder, and doing it again replaces them."""
    began = time.monotonic()
    measure = step.recipe.measure
    assert measure is not None, "only an evaluation has this step"
    results: dict[str, BenchmarkResult] = {}

    def fill(folder: Path) -> None:
        sets = official_sets(step.recipe)
        for done, (name, benchmark) in enumerate(sets.items()):
            step.progress(done, len(sets))
            results[name] = _measured(step, measure, benchmark, folder)
        write_summary(folder, EvaluationResult(model=measure.model, benchmarks=results))

    replace_folder(step.use.home / step.claim.run_id / FOLDER, fill)
    tables = {
        name: MeasuredTable(lines=one.lines, items=one.items, cut=one.cut, refused=one.refused, refusal=one.refusal)
        for name, one in results.items()
    }
    return None, MeasureResult(benchmarks=tables, seconds=time.monotonic() - began)


def _measured(
    step: ClaimedStep[MeasureParams], measure: MeasureRecipe, benchmark: Benchmark, folder: Path
) -> BenchmarkResult:
    name = benchmark.name
    prepared = step.artefact(PREPARE)
    items = list(items_by_question(step.use.store, prepared, name).values())
    images = [question.images[0] for question in questions(step.use.store, prepared, name)]
    scores = {row.question_id: _least(row) for row in step.rows(step.params.scores.get(name, ()), ScoreRow)}
    # Of each row only the texts are kept: its tokens take ten times their room.
    rows = {
        row.question.id: _responses(row, scores.get(row.question.id), measure.n)
        for row in step.rows(step.params.rows[name], RolloutRow)
    }
    digest = digest_of((item, bytes.fromhex(image)) for item, image in zip(items, images, strict=True))
    file = ResponseFile(response_path(folder, benchmark), _settings(step, measure, name, digest))
    file.add(rows.get(question_id(benchmark, item)) or refused(item.id, measure.n, LEFT_OUT) for item in items)
    return write_result(benchmark, items, file, folder)


def _settings(step: ClaimedStep[MeasureParams], measure: MeasureRecipe, name: str, digest: str) -> Settings:
    generation, prm = step.recipe.generation, step.params.scores.get(name)
    return Settings(
        benchmark=name,
        data_sha256=digest,
        model=measure.model,
        model_version=(measure.checkpoint or step.artefact(PREPARE)).version,
        n=measure.n,
        temperature=measure.temperature,
        max_tokens=generation.max_tokens,
        top_p=generation.top_p,
        seed=step.recipe.seed,
        asking=asking_of(step.recipe),
        prm_version=(measure.prm_checkpoint or step.artefact(FETCH)).version if prm else "",
    )


def _least(row: ScoreRow) -> dict[int, float]:
    """The least step score of each response; 0 for one that the PRM does not take."""
    return {one.index: min(one.scores, default=0.0) for one in row.responses}


def _responses(row: RolloutRow, scores: dict[int, float] | None, n: int) -> Responses:
    """As `mstar eval` keeps them. An item that the policy refused counts as wrong."""
    item = row.question.id.partition("/")[2]
    if not row.responses:
        return refused(item, n, row.problem)
    return Responses(
        id=item,
        texts=tuple(one.response.text for one in row.responses),
        cut=tuple(one.response.finish_reason is FinishReason.LENGTH for one in row.responses),
        scores=None if scores is None else tuple(scores.get(one.index, 0.0) for one in row.responses),
    )
