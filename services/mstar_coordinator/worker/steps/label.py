"""Monte-Carlo step labels: cut each solution after every step, complete each prefix, count how many reach a*.

The last segment needs no completion: its label is whether the whole response is right. Prefixes that several solutions
of a question share are completed once. A prefix is continued from the tokens that were sampled, and every step has a
label: labels, training and scoring cut a solution alike.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mstar.answers import check
from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutRequest
from mstar.layout import gaps, join_segments, scored_segments
from mstar.prompts import PromptForm, prompt_text
from mstar.recipes import Recipe
from mstar.seeds import derive
from mstar.stages.label import LabelParams, LabelResult
from mstar.steps import ArtefactRef
from mstar.types import CheckedResponse, FinishReason, Question, Response, RolloutRow, SampledTokens, StepLabelRow
from mstar_coordinator.worker.context import ClaimedStep, Output

PREFIXES_PER_REQUEST = 512
"""Bounds the size of a reply, and the work that is lost with a lease."""


@dataclass(frozen=True)
class _Prefix:
    """The beginning of a solution up to the end of a step, as it is completed."""

    question: str
    """Its id."""
    text: str
    behind: str
    """What stands between it and the rest of the solution."""
    ids: tuple[int, ...] = ()
    """What was sampled; empty where only the text is known."""


@dataclass(frozen=True)
class _Solution:
    row: RolloutRow
    checked: CheckedResponse
    segments: tuple[str, ...]
    tokens: SampledTokens | None

    @property
    def prefixes(self) -> list[_Prefix | None]:
        """The beginning that each segment ends; None: the whole solution, which needs no completion."""
        return [self._prefix(place) for place in range(len(self.segments))]

    def _prefix(self, place: int) -> _Prefix | None:
        # ends: [segments], for each the number of sampled tokens up to its end.
        ends = self.tokens.ends if self.tokens else tuple(range(1, len(self.segments) + 1))
        # Segments that end within one token are completed together.
        behind = bisect_right(ends, ends[place])
        if behind == len(self.segments):
            return None
        ids = self.tokens.ids[: ends[place]] if self.tokens else ()
        separator = self.row.step_separator
        gap = gaps(self.segments, separator)[behind - 1]
        return _Prefix(self.row.question.id, join_segments(self.segments[:behind], separator), gap, ids)


def run(step: ClaimedStep[LabelParams]) -> Output[LabelResult]:
    """Output: a row for each distinct solution."""
    began = time.monotonic()
    params = step.params
    weights = step.artefact(params.weights)
    found = _solutions(list(step.rows((params.rows,), RolloutRow)))
    solutions = [solution for solution in found if len(solution.segments) <= params.max_steps]
    # Keyed by prefix: what several solutions begin with is completed once.
    wanted = {prefix: one.row.question for one in solutions for prefix in one.prefixes if prefix is not None}

    def make() -> Iterator[StepLabelRow]:
        successes = _successes(step, weights, wanted)
        return (
            _labelled(solution, successes, params.completions, weights.version, step.recipe.form)
            for solution in solutions
            if all(prefix is None or prefix in successes for prefix in solution.prefixes)
        )

    ref, rows = step.write_once(StepLabelRow, make, {"weight_version": weights.version})
    return ref, LabelResult(
        solutions=len(rows),
        too_long=len(found) - len(solutions),
        prefixes=len(wanted),
        completions=len(wanted) * params.completions,
        seconds=time.monotonic() - began,
    )


def _successes(
    step: ClaimedStep[LabelParams], weights: ArtefactRef, wanted: dict[_Prefix, Question]
) -> dict[_Prefix, int]:
    """How many completions of each prefix reach the reference answer; one that is too long to go on is left out."""
    if not step.claim.careful:
        return _completed(step, weights, list(wanted.items()), step.progress)
    of_question: dict[str, list[tuple[_Prefix, Question]]] = {}
    for key, question in wanted.items():
        of_question.setdefault(question.id, []).append((key, question))
    found = step.in_turn(of_question, lambda one: _completed(step, weights, of_question[one], lambda *_: None))
    return {key: count for counts in found.values() for key, count in counts.items()}


def _completed(
    step: ClaimedStep[LabelParams],
    weights: ArtefactRef,
    prefixes: Sequence[tuple[_Prefix, Question]],
    progress: Callable[[int, int], None],
) -> dict[_Prefix, int]:
    found: dict[_Prefix, int] = {}
    generation = step.recipe.generation
    for start in range(0, len(prefixes), PREFIXES_PER_REQUEST):
        progress(start, len(prefixes))
        part = prefixes[start : start + PREFIXES_PER_REQUEST]
        prompts = tuple(_prompt(step, question, prefix) for prefix, question in part)
        request = RolloutRequest(prompts=prompts, max_tokens=generation.max_tokens, top_p=generation.top_p)
        reply = step.use.policy.rollouts(request, weights)
        refused = {one.index for one in reply.refused}
        for place, ((prefix, question), samples) in enumerate(zip(part, reply.samples, strict=True)):
            if place not in refused:
                found[prefix] = sum(_reaches(question, prefix, sample, step.recipe) for sample in samples)
    progress(len(prefixes), len(prefixes))
    return found


def _solutions(rows: list[RolloutRow]) -> list[_Solution]:
    """Distinct solutions that ended by themselves and have at least one segment."""
    found: dict[tuple[str, str], _Solution] = {}
    for row in rows:
        for checked in row.responses:
            segments = scored_segments(checked.response.text, row.step_separator)
            # What was cut off at the limit of tokens ends in the middle of a step.
            if segments and checked.response.finish_reason is FinishReason.STOP:
                solution = _Solution(row, checked, segments, SampledTokens.of(checked.response, row.vocabulary))
                found.setdefault((row.question.id, join_segments(segments, row.step_separator)), solution)
    return list(found.values())


def _prompt(step: ClaimedStep[LabelParams], question: Question, prefix: _Prefix) -> Prompt:
    form = step.recipe.form
    return Prompt(
        question=prompt_text(question, form),
        images=tuple(ImageInput(sha256=image) for image in question.images),
        system=form.system,
        # Token ids where they are known: text that is tokenized anew may be cut elsewhere than it was sampled.
        prefix="" if prefix.ids else prefix.text + prefix.behind,
        prefix_ids=prefix.ids,
        n=step.params.completions,
        temperature=step.params.temperature,
        # From the text, so that the same prefix gets the same completions whichever solution it comes from.
        seed=derive(step.recipe.seed, "label", question.id, prefix.text),
    )


def _reaches(question: Question, prefix: _Prefix, sample: Response, recipe: Recipe) -> bool:
    assert question.answer is not None
    text = prefix.text + prefix.behind + sample.text
    return check(text, question.answer, recipe.answers, recipe.form.answer, question=question.text).correct


def _labelled(
    solution: _Solution,
    successes: dict[_Prefix, int],
    completions: int,
    version: str,
    form: PromptForm,
) -> StepLabelRow:
    question = solution.row.question
    assert question.answer is not None
    own = int(solution.checked.verdict.correct)
    reached = [own if prefix is None else successes[prefix] for prefix in solution.prefixes]
    tried = [1 if prefix is None else completions for prefix in solution.prefixes]
    return StepLabelRow(
        id=f"{question.id}/{solution.checked.index}",
        prompt=prompt_text(question, form),
        completions=solution.segments,
        # Monte-Carlo estimate of each step: completions that reach the answer, of those tried (paper, section 3).
        labels=tuple(good / total for good, total in zip(reached, tried, strict=True)),
        images=question.images,
        answer=question.answer,
        mc_successes=tuple(reached),
        mc_rollouts=tuple(tried),
        weight_version=version,
        system=form.system,
        tokens=solution.tokens,
    )
