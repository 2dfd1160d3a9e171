"""Rollouts: sample a shard's questions from one weight version and check every answer."""

import time

from mstar.answers import check
from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutRequest
from mstar.api.steps import Claim
from mstar.errors import NotFound
from mstar.recipes import Recipe
from mstar.seeds import derive, permutation, take
from mstar.steps import ChooseResult, GenerateParams, GenerateResult
from mstar.types import CheckedResponse, Question, Response, RolloutRow, Verdict
from mstar_coordinator.work.context import Context, Done, artefact_of
from mstar_coordinator.work.prepare import questions
from mstar_worker.lease import Progress

UNLABELLED = Verdict(correct=False, reason="no-reference-answer")


def run(claim: Claim, progress: Progress, context: Context) -> Done:
    """Output: a row for each question and temperature, question-major, so that a prompt's prefix stays warm."""
    began = time.monotonic()
    params = claim.step.params
    assert isinstance(params, GenerateParams)
    weights = artefact_of(claim, params.weights)
    asked = _questions(claim, params, context)
    plan = [(question, n, temperature) for question in asked for n, temperature in _draws(claim, params)]
    prompts = tuple(_prompt(claim.recipe, params, question, n, t) for question, n, t in plan)
    generation = claim.recipe.generation
    request = RolloutRequest(prompts=prompts, max_tokens=generation.max_tokens, top_p=generation.top_p)
    progress(0, len(asked))
    reply = context.policy.rollouts(request, weights)
    progress(len(asked), len(asked))
    rows = [
        RolloutRow(
            question=question,
            temperature=temperature,
            weight_version=reply.weight_version,
            responses=checked(question, samples),
        )
        for (question, _, temperature), samples in zip(plan, reply.samples, strict=True)
    ]
    result = GenerateResult(
        questions=len(asked),
        responses=sum(len(row.responses) for row in rows),
        correct=sum(response.verdict.correct for row in rows for response in row.responses),
        tokens=reply.usage.completion_tokens,
        weight_version=reply.weight_version,
        seconds=time.monotonic() - began,
    )
    return context.store.write_rows(claim.output_id, rows, {"weight_version": reply.weight_version}), result


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


def _questions(claim: Claim, params: GenerateParams, context: Context) -> tuple[Question, ...]:
    """The shard's share: the train split in seeded order, the others as they stand."""
    pool = questions(context.store, artefact_of(claim, "prepare"), params.split)
    if params.split != "train":
        return take(pool, params.start, params.count)
    order = permutation(len(pool), derive(claim.recipe.seed, "order", params.split))
    return tuple(pool[place] for place in take(order, params.start, params.count))


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
