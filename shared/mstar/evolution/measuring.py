"""An evaluation as a graph of steps: the same kinds as in a run, so workers, queues and repair are those of runs."""

from collections.abc import Iterator

from mstar.evolution.sharding import shards_of
from mstar.recipes import MeasureRecipe, Recipe
from mstar.stages import StepSpec
from mstar.stages.fetch import FetchParams
from mstar.stages.generate import GenerateParams, Sampling
from mstar.stages.measure import MeasureParams
from mstar.stages.prepare import PrepareParams
from mstar.stages.score import ScoreParams
from mstar.step_names import FETCH, MEASURE, PREPARE, evaluation_step, sibling


def measuring_graph(recipe: Recipe, measure: MeasureRecipe) -> Iterator[StepSpec]:
    """Model and questions, the PRM where one ranks, each benchmark's shards with their scores, and the tables."""
    yield StepSpec(name=PREPARE, params=PrepareParams())
    if recipe.prm is not None:
        yield StepSpec(name=FETCH, params=FetchParams())
    rows: dict[str, tuple[str, ...]] = {}
    scores: dict[str, tuple[str, ...]] = {}
    draws = (Sampling(n=measure.n, temperature=measure.temperature),)
    for name, one in measure.sets.items():
        for shard, start, count in shards_of(one.items, recipe.generation.shard_questions):
            step = evaluation_step(name, "generate", shard)
            params = GenerateParams(purpose="eval", split=name, start=start, count=count, draws=draws, weights=PREPARE)
            yield StepSpec(name=step, params=params, needs=(PREPARE,))
            rows[name] = (*rows.get(name, ()), step)
            if recipe.prm is not None:
                score = ScoreParams(rows=step, prm=FETCH, k=1)
                yield StepSpec(name=sibling(step, "score"), params=score, needs=(FETCH, step))
                scores[name] = (*scores.get(name, ()), sibling(step, "score"))
    made = tuple(step for steps in (*rows.values(), *scores.values()) for step in steps)
    # The result files name the PRM's version, which its fetched folder has.
    fetched = (FETCH,) if recipe.prm is not None else ()
    yield StepSpec(name=MEASURE, params=MeasureParams(rows=rows, scores=scores), needs=(PREPARE, *fetched, *made))
