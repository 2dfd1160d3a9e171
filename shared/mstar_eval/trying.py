"""Tries a model before a run: questions as the recipe puts them, responses, and what the answer check says of them.

It says as well what the recipe could change, from where the responses have their answer. Nothing is trained or written.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mstar.answers import AnswerPlace, answer_of, check
from mstar.errors import InvalidDataset
from mstar.outcomes import Outcomes, advice, outcomes_of, unparted
from mstar.prompts import PromptForm, prompt_text
from mstar.recipes import Recipe
from mstar.seeds import derive, permutation
from mstar.types import CheckedResponse, Frozen, Question, Response, RolloutRow, Verdict
from mstar_data.rows import AS_IT_IS, ReadOptions, read_rows
from mstar_data.summary import Summary
from mstar_eval.services import ModelServices, SamplingOptions

DRAWN_FROM = 200
"""Records at a source's beginning that the questions are drawn from; reading all of a large one would take minutes."""
TRAINING = "train"


@dataclass(frozen=True)
class Pick:
    """A question with its images."""

    question: Question
    images: tuple[bytes, ...]


class Tried(Frozen):
    """One question, how it was put, and what came of it."""

    question: Question
    prompt: str
    responses: tuple[CheckedResponse, ...]
    problem: str = ""
    """Why nothing was sampled."""


class Trial(Frozen):
    """What the model did with all of them."""

    system: str
    answer: AnswerPlace
    tried: tuple[Tried, ...]
    outcomes: Outcomes
    right_in: dict[AnswerPlace, int]
    """For each place how many responses have the right answer there."""
    advice: str
    """What to change in the recipe; empty where the responses follow the layout."""
    steps: str = ""
    """Why the responses have no steps; empty where they have."""


def picked(pool: Iterable[Pick], count: int, seed: int) -> list[Pick]:
    """Questions to try, drawn by seed; those of training where there are any."""
    pool = list(islice(pool, DRAWN_FROM))
    training = [pick for pick in pool if pick.question.split == TRAINING] or pool
    order = permutation(len(training), derive(seed, "try"))
    return [training[place] for place in order[:count]]


def tried(
    picks: Sequence[Pick], services: ModelServices, recipe: Recipe, form: PromptForm, n: int, *, with_reference: bool
) -> Trial:
    """Sample n responses a question as the recipe says and check them. Raises what the policy answers with."""
    # Sampled as an iteration samples: what is shown is what a run would train on.
    evolution, generation = recipe.evolution, recipe.generation
    texts = [prompt_text(pick.question, form, with_reference=with_reference) for pick in picks]
    prompts = [
        (text, pick.images, derive(recipe.seed, "try", pick.question.id))
        for pick, text in zip(picks, texts, strict=True)
    ]
    how = SamplingOptions(n, evolution.temperature, generation.max_tokens, generation.top_p)
    reply = services.rollouts(prompts, how, form.system)
    problems = {one.index: one.detail for one in reply.refused}
    rows = [
        RolloutRow(
            question=pick.question,
            temperature=evolution.temperature,
            weight_version=reply.weight_version,
            responses=_checked(pick, samples, recipe, form.answer),
            problem=problems.get(place, ""),
            step_separator=form.step_separator,
        )
        for place, (pick, samples) in enumerate(zip(picks, reply.samples, strict=True))
    ]
    seen = outcomes_of(rows)
    return Trial(
        system=form.system,
        answer=form.answer,
        tried=tuple(
            Tried(question=row.question, prompt=text, responses=row.responses, problem=row.problem)
            for row, text in zip(rows, texts, strict=True)
        ),
        outcomes=seen,
        right_in={place: _right_in(place, picks, rows, recipe) for place in AnswerPlace},
        advice=advice(seen, form.answer),
        steps=unparted(seen, form.step_separator),
    )


def _checked(
    pick: Pick, samples: Sequence[Response], recipe: Recipe, place: AnswerPlace
) -> tuple[CheckedResponse, ...]:
    return tuple(
        CheckedResponse(index=index, response=response, verdict=_verdict(response.text, pick, recipe, place))
        for index, response in enumerate(samples)
    )


def _right_in(place: AnswerPlace, picks: Sequence[Pick], rows: Sequence[RolloutRow], recipe: Recipe) -> int:
    """How many responses would be right if the answer were looked for in this place."""
    return sum(
        _verdict(one.response.text, pick, recipe, place).correct
        for pick, row in zip(picks, rows, strict=True)
        for one in row.responses
    )


def _verdict(text: str, pick: Pick, recipe: Recipe, place: AnswerPlace) -> Verdict:
    assert pick.question.answer is not None
    return check(text, pick.question.answer, recipe.answers, place, question=pick.question.text)


def questions_of(source: Path, options: ReadOptions = AS_IT_IS) -> Iterator[Pick]:
    """Questions of a source that `data.source` or `mstar data import` takes; what cannot be used is passed over.

    Raises InvalidDataset where the source is not there, and where no record can be used.
    """
    if not source.exists():
        raise InvalidDataset(f"{source} does not exist: name a file, a folder or builtin:minivista", field="data")
    summary = Summary()
    rows = read_rows(source, summary, options)
    found = False
    for row in rows:
        columns = row.columns
        # The check needs a reference, and a run trains on labelled questions first.
        if "answer" not in columns:
            continue
        found = True
        yield Pick(
            Question(
                id=str(columns.get("id") or row.where)[:200],
                text=columns["question"],
                images=tuple(hashlib.sha256(image).hexdigest() for image in row.images),
                answer=answer_of(columns),
                group=str(columns.get("group") or "ALL"),
                split=row.split,
                source=row.where[:500],
            ),
            row.images,
        )
    if not found:
        why = f": {summary.problems[0]}" if summary.problems else ""
        raise InvalidDataset(f"{source} has no question with an answer{why}", field="data")
