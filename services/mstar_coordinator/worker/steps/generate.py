"""Rollouts: sample a shard's questions from one weight version and check every answer."""

import time
from collections.abc import Iterator
from functools import lru_cache

from mstar.answers import check
from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutRequest
from mstar.api.steps import Claim
from mstar.errors import NotFound
from mstar.recipes import Recipe
from mstar.seeds import derive, permutation, take
from mstar.steps import ArtefactRef, ChooseResult, GenerateParams, GenerateResult
from mstar.types import CheckedResponse, Question, Response, RolloutRow, Verdict
from mstar_coordinator.worker.context import Context, Done, artefact_of, write_once
from mstar_coordinator.worker.steps.prepare import questions
from mstar_worker.lease import Progress

UNLABELLED = Verdict(correct=False, reason="no-reference-answer")


def run(claim: Claim, progress: Progress, context: Context) -> Done:
    """Output: a row for each question and temperature, question-major, so that a prompt's prefix stays warm."""
    began = time.monotonic()
    params = claim.step.params
    assert isinstance(params, GenerateParams)
    weights = artefact_of(claim, params.weights)

    def make() -> Iterator[RolloutRow]:
        return _sampled(claim, params, weights, context, progress)

    ref, rows = write_once(context, claim, RolloutRow, make, {"weight_version": weights.version})
    responses = [response for row in rows for response in row.responses]
    return ref, GenerateResult(
        questions=params.count,
        responses=len(responses),
        correct=sum(response.verdict.correct for response in responses),
        tokens=sum(len(response.response.token_ids) for response in responses),
        weight_version=weights.version,
        seconds=time.monotonic() - began,
    )


def checked(question: Question, samples: tuple[Response, ...]) -> tuple[CheckedResponse, ...]:
    """Responses with their verdicts; an unlabelled question has none that is correct."""
    return tuple(
        CheckedResponse(
            index=index,
            response=sample,
            verdict=check(sample.text, question.answer) if question.answer else UNLABELLED,
        )
        for index, sample in enumerate(samples)
    )


def _sampled(
    claim: Claim, params: GenerateParams, weights: ArtefactRef, context: Context, progress: Progress
) -> Iterator[RolloutRow]:
    """One request for the whole shard: the engine decides how to batch it."""
    draws = _draws(claim, params)
    plan = [(question, n, t) for question in _questions(claim, params, context) for n, t in draws]
    generation = claim.recipe.generation
    request = RolloutRequest(
        prompts=tuple(_prompt(claim.recipe, params, question, n, t) for question, n, t in plan),
        max_tokens=generation.max_tokens,
        top_p=generation.top_p,
    )
    progress(0, params.count)
    reply = context.policy.rollouts(request, weights)
    for place, ((question, _, temperature), samples) in enumerate(zip(plan, reply.samples, strict=True)):
        progress(place // len(draws), params.count)
        yield RolloutRow(
            question=question,
            temperature=temperature,
            weight_version=reply.weight_version,
            responses=checked(question, samples),
        )
    progress(params.count, params.count)


def _questions(claim: Claim, params: GenerateParams, context: Context) -> tuple[Question, ...]:
    """The shard's share: the train split in seeded order, the others as they stand."""
    pool = questions(context.store, artefact_of(claim, "prepare"), params.split)
    if params.split != "train":
        return take(pool, params.start, params.count)
    order = _order(len(pool), claim.recipe.seed, params.split)
    return tuple(pool[place] for place in take(order, params.start, params.count))


@lru_cache(maxsize=8)
def _order(size: int, seed: int, split: str) -> tuple[int, ...]:
    """Drawn once for all shards of a run: it hashes every question's place."""
    return tuple(permutation(size, derive(seed, "order", split)))


def _draws(claim: Claim, params: GenerateParams) -> list[tuple[int, float]]:
    return [(draw.n, _chosen(claim, params) if draw.temperature is None else draw.temperature) for draw in params.draws]


def _chosen(claim: Claim, params: GenerateParams) -> float:
    given = claim.inputs.get(params.choose or "")
    if given is None or not isinstance(given.result, ChooseResult):
        raise NotFound(f"step {claim.step.name} was claimed without the temperature that {params.choose} chose")
    return given.result.chosen


def _prompt(recipe: Recipe, params: GenerateParams, question: Question, n: int, temperature: float) -> Prompt:
    reference = question.answer.value if params.with_reference and question.answer else None
    return Prompt(
        question=question.text,
        image=ImageInput(sha256=question.image),
        reference_answer=reference,
        n=n,
        temperature=temperature,
        seed=derive(recipe.seed, params.purpose, question.id, temperature),
    )
