"""Rollouts: sample a shard's questions from one weight version and check every answer."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from mstar.answers import check
from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutRequest
from mstar.judges.in_runs import asking_of, official_sets, reference_of, verdict_of
from mstar.outcomes import outcomes_of
from mstar.prompts import prompt_text
from mstar.recipes import Recipe
from mstar.seeds import derive, permutation, take
from mstar.stages.choose import ChooseResult
from mstar.stages.generate import GenerateParams, GenerateResult
from mstar.step_names import PREPARE
from mstar.steps import ArtefactRef
from mstar.types import CheckedResponse, Question, Response, RolloutRow, Verdict
from mstar_coordinator.worker.context import ClaimedStep, Output
from mstar_coordinator.worker.published import items_by_question
from mstar_coordinator.worker.steps.prepare import questions

UNLABELLED = Verdict(correct=False, reason="no-reference-answer")


def run(step: ClaimedStep[GenerateParams]) -> Output[GenerateResult]:
    """Output: a row for each question and temperature, question-major, so that a prompt's prefix stays warm."""
    began = time.monotonic()
    weights = step.artefact(step.params.weights)
    ref, rows = step.write_once(RolloutRow, lambda: _sampled(step, weights), {"weight_version": weights.version})
    responses = [response for row in rows for response in row.responses]
    return ref, GenerateResult(
        # A row for each question and draw.
        questions=len(rows) // len(step.params.draws),
        responses=len(responses),
        correct=sum(response.verdict.correct for response in responses),
        tokens=sum(len(response.response.token_ids) for response in responses),
        weight_version=weights.version,
        seconds=time.monotonic() - began,
        outcomes=outcomes_of(rows),
    )


def checked(question: Question, samples: tuple[Response, ...], recipe: Recipe) -> tuple[CheckedResponse, ...]:
    """Responses with their verdicts; an unlabelled question has none that is correct."""
    rule, place = recipe.answers, recipe.form.answer

    def verdict(text: str) -> Verdict:
        if question.answer is None:
            return UNLABELLED
        return check(text, question.answer, rule, place, question=question.text)

    return tuple(
        CheckedResponse(index=index, response=sample, verdict=verdict(sample.text))
        for index, sample in enumerate(samples)
    )


def _sampled(step: ClaimedStep[GenerateParams], weights: ArtefactRef) -> Iterator[RolloutRow]:
    """One request for the whole shard: the engine decides how to batch it. A careful attempt sends one a question."""
    asked = _questions(step)
    if not step.claim.careful:
        yield from _asked(step, weights, asked, step.progress)
        return
    found = {question.id: question for question in asked}
    rows = step.in_turn(found, lambda one: list(_asked(step, weights, (found[one],), lambda *_: None)))
    # In the shard's order, though suspects were asked last: a careful attempt leaves the same bytes as any other.
    for question in asked:
        yield from rows[question.id]


def _asked(
    step: ClaimedStep[GenerateParams],
    weights: ArtefactRef,
    asked: Sequence[Question],
    progress: Callable[[int, int], None],
) -> Iterator[RolloutRow]:
    draws, count = _draws(step), len(asked)
    plan = [(question, n, t) for question in asked for n, t in draws]
    # All questions of the shard may be in quarantine, and a request without prompts is refused.
    if not plan:
        return
    generation = step.recipe.generation
    request = RolloutRequest(
        prompts=tuple(_prompt(step, question, n, t) for question, n, t in plan),
        max_tokens=generation.max_tokens,
        top_p=generation.top_p,
        step_separator=step.recipe.form.step_separator,
    )
    progress(0, count)
    reply = step.use.policy.rollouts(request, weights)
    problems = {one.index: one.detail for one in reply.refused}
    # samples: [n] responses to a prompt, in the order of the prompts.
    for place, ((question, _, temperature), samples) in enumerate(zip(plan, reply.samples, strict=True)):
        progress(place // len(draws), count)
        yield RolloutRow(
            question=question,
            temperature=temperature,
            weight_version=reply.weight_version,
            responses=_verdicts(step, question, samples),
            vocabulary=_vocabulary(step, reply.vocabulary),
            problem=problems.get(place, ""),
            step_separator=step.recipe.form.step_separator,
            reference=_reference(step, question),
        )
    progress(count, count)


def _vocabulary(step: ClaimedStep[GenerateParams], named: str) -> str:
    """None in an evaluation: responses are scored by their text, as `mstar eval` scores them of any policy."""
    return named if step.recipe.measure is None else ""


def _verdicts(
    step: ClaimedStep[GenerateParams], question: Question, samples: tuple[Response, ...]
) -> tuple[CheckedResponse, ...]:
    """By the answer check; for a published benchmark by its official rule."""
    benchmark = official_sets(step.recipe).get(question.split)
    if benchmark is None:
        return checked(question, samples, step.recipe)
    item = items_by_question(step.use.store, step.artefact(PREPARE), benchmark.name)[question.id]
    asking = asking_of(step.recipe)
    return tuple(
        CheckedResponse(index=index, response=one, verdict=verdict_of(benchmark, item, one.text, asking))
        for index, one in enumerate(samples)
    )


def _reference(step: ClaimedStep[GenerateParams], question: Question) -> str:
    """The right answer of a published benchmark's item; empty for a question that has its own."""
    benchmark = official_sets(step.recipe).get(question.split)
    if benchmark is None:
        return ""
    return reference_of(items_by_question(step.use.store, step.artefact(PREPARE), benchmark.name)[question.id])


def _questions(step: ClaimedStep[GenerateParams]) -> tuple[Question, ...]:
    """The shard's share: the train split in seeded order, the others as they stand; none that is in quarantine."""
    out = set(step.claim.quarantined)
    return tuple(question for question in _share(step) if question.id not in out)


def _share(step: ClaimedStep[GenerateParams]) -> tuple[Question, ...]:
    params = step.params
    pool = questions(step.use.store, step.artefact(PREPARE), params.split)
    # Tests and validation are asked whole, so their order does not matter.
    if params.split != "train":
        return take(pool, params.start, params.count)
    order = _order(len(pool), step.recipe.seed, params.split)
    return tuple(pool[place] for place in take(order, params.start, params.count))


@lru_cache(maxsize=8)
def _order(size: int, seed: int, split: str) -> tuple[int, ...]:
    """Drawn once for all shards of a run: it hashes every question's place."""
    return tuple(permutation(size, derive(seed, "order", split)))


def _draws(step: ClaimedStep[GenerateParams]) -> list[tuple[int, float]]:
    """(n, temperature) of each draw, the chosen temperature where none is set."""
    return [(draw.n, _chosen(step) if draw.temperature is None else draw.temperature) for draw in step.params.draws]


def _chosen(step: ClaimedStep[GenerateParams]) -> float:
    assert step.params.choose is not None, f"{step.name} has neither a temperature nor a step that chose one"
    return step.result(step.params.choose, ChooseResult).chosen


def _prompt(step: ClaimedStep[GenerateParams], question: Question, n: int, temperature: float) -> Prompt:
    form = step.recipe.form
    # A sample's random numbers follow from seed and index: equal seeds couple the samples of two temperatures.
    own = () if step.params.common_numbers else (temperature,)
    shown = step.params.with_reference and question.answer is not None
    official = question.split in official_sets(step.recipe)
    return Prompt(
        question=question.text if official else prompt_text(question, form, with_reference=shown),
        images=tuple(ImageInput(sha256=image) for image in question.images),
        system=asking_of(step.recipe).system if official else form.system,
        n=n,
        temperature=temperature,
        seed=derive(step.recipe.seed, step.params.purpose, question.id, *own),
    )
