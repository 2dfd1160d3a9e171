"""Monte-Carlo step labels: cut each solution after every step, complete each prefix, count how many reach a*.

The last segment needs no completion: its label is whether the whole response is right. Prefixes that several solutions
of a question share are completed once.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from mstar.answers import check
from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutRequest
from mstar.layout import STEP_SEPARATOR, join_segments, merge_segments, scored_segments
from mstar.prompts import PromptForm, prompt_text
from mstar.recipes import Recipe
from mstar.seeds import derive
from mstar.stages.label import LabelParams, LabelResult
from mstar.steps import ArtefactRef
from mstar.types import CheckedResponse, FinishReason, Question, Response, RolloutRow, StepLabelRow
from mstar_coordinator.worker.context import ClaimedStep, Output

PREFIXES_PER_REQUEST = 512
"""Bounds the size of a reply, and the work that is lost with a lease."""


@dataclass(frozen=True)
class _Solution:
    row: RolloutRow
    checked: CheckedResponse
    segments: tuple[str, ...]

    @property
    def prefixes(self) -> list[tuple[str, str]]:
        """(question id, text up to the end of a segment) for every segment but the last."""
        question = self.row.question.id
        return [(question, join_segments(self.segments[:end])) for end in range(1, len(self.segments))]


def run(step: ClaimedStep[LabelParams]) -> Output[LabelResult]:
    """Output: a row for each distinct solution."""
    began = time.monotonic()
    params = step.params
    weights = step.artefact(params.weights)
    solutions = _solutions(list(step.rows((params.rows,), RolloutRow)), params.max_steps)
    wanted = {prefix: solution.row.question for solution in solutions for prefix in solution.prefixes}

    def make() -> Iterator[StepLabelRow]:
        successes = _successes(step, weights, wanted)
        return (
            _labelled(solution, successes, params.completions, weights.version, step.recipe.form)
            for solution in solutions
        )

    ref, rows = step.write_once(StepLabelRow, make, {"weight_version": weights.version})
    return ref, LabelResult(
        solutions=len(rows),
        prefixes=len(wanted),
        completions=len(wanted) * params.completions,
        seconds=time.monotonic() - began,
    )


def _successes(
    step: ClaimedStep[LabelParams], weights: ArtefactRef, wanted: dict[tuple[str, str], Question]
) -> dict[tuple[str, str], int]:
    """How many completions of each prefix reach the reference answer."""
    found: dict[tuple[str, str], int] = {}
    prefixes = list(wanted.items())
    generation = step.recipe.generation
    for start in range(0, len(prefixes), PREFIXES_PER_REQUEST):
        step.progress(start, len(prefixes))
        part = prefixes[start : start + PREFIXES_PER_REQUEST]
        prompts = tuple(_prompt(step, question, text) for (_, text), question in part)
        request = RolloutRequest(prompts=prompts, max_tokens=generation.max_tokens, top_p=generation.top_p)
        reply = step.use.policy.rollouts(request, weights)
        for (key, question), samples in zip(part, reply.samples, strict=True):
            found[key] = sum(_reaches(question, key[1], sample, step.recipe) for sample in samples)
    step.progress(len(prefixes), len(prefixes))
    return found


def _solutions(rows: list[RolloutRow], max_steps: int) -> list[_Solution]:
    """Distinct solutions that ended by themselves and have at least one segment."""
    found: dict[tuple[str, str], _Solution] = {}
    for row in rows:
        for checked in row.responses:
            segments = scored_segments(checked.response.text)
            if segments and checked.response.finish_reason is FinishReason.STOP:
                solution = _Solution(row, checked, merge_segments(segments, max_steps))
                found.setdefault((row.question.id, join_segments(segments)), solution)
    return list(found.values())


def _prompt(step: ClaimedStep[LabelParams], question: Question, text: str) -> Prompt:
    form = step.recipe.form
    return Prompt(
        question=prompt_text(question, form),
        image=ImageInput(sha256=question.image),
        system=form.system,
        prefix=text + STEP_SEPARATOR,
        n=step.params.completions,
        temperature=step.params.temperature,
        seed=derive(step.recipe.seed, "label", question.id, text),
    )


def _reaches(question: Question, prefix: str, sample: Response, recipe: Recipe) -> bool:
    assert question.answer is not None
    text = prefix + STEP_SEPARATOR + sample.text
    return check(text, question.answer, recipe.answers, recipe.form.answer).correct


def _labelled(
    solution: _Solution,
    successes: dict[tuple[str, str], int],
    completions: int,
    version: str,
    form: PromptForm,
) -> StepLabelRow:
    question = solution.row.question
    assert question.answer is not None
    reached = [*(successes[prefix] for prefix in solution.prefixes), int(solution.checked.verdict.correct)]
    tried = [completions] * (len(solution.segments) - 1) + [1]
    return StepLabelRow(
        id=f"{question.id}/{solution.checked.index}",
        prompt=prompt_text(question, form),
        completions=solution.segments,
        labels=tuple(good / total for good, total in zip(reached, tried, strict=True)),
        image=question.image,
        answer=question.answer,
        mc_successes=tuple(reached),
        mc_rollouts=tuple(tried),
        weight_version=version,
        system=form.system,
    )
