"""`mstar judge FILE`: what the answer check says of your own records and responses, line by line."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError

from mstar.answers import AnswerPlace, AnswerRule, answer_of, check
from mstar.answers.options import options_in, options_of, options_on_a_line
from mstar.answers.records import gold_in, question_in
from mstar.cli.lines import numbered_lines, object_on, wrong_member
from mstar.cli.output import json_text
from mstar.errors import InvalidDataset
from mstar.types import Verdict

EXAMPLE = '{"record": {"question": "How many?", "answer": 3}, "response": "## Answer\\n\\n3", "correct": true}'


class JudgedLine(BaseModel):
    """What a line must have; further members are ignored."""

    record: dict[str, Any]
    """A row as the data set has it."""
    response: str
    correct: bool | None = None
    """What a person says of the response."""


def judge(
    file: Annotated[Path, typer.Argument(help="JSON lines with record, response and optionally correct.")],
    headings_only: Annotated[
        bool, typer.Option("--headings-only", help="Take answers after a heading only, as a run does.")
    ] = False,
    answer: Annotated[AnswerPlace, typer.Option(help="Where a response states its answer.")] = AnswerPlace.HEADING,
) -> None:
    """Check responses against reference answers, and print a verdict with its reason for each line.

    If lines have `correct`, the last line counts false accepts and false rejects.
    """
    rule = AnswerRule(sentences=not headings_only)
    counts: Counter[str] = Counter()
    for number, pair in _pairs(file):
        verdict = _verdict(pair, rule, answer)
        print(json_text({"line": number, **verdict.model_dump()}))
        if pair.correct is not None:
            counts["pairs"] += 1
            counts["accepts"] += verdict.correct and not pair.correct
            counts["rejects"] += pair.correct and not verdict.correct
    if counts["pairs"]:
        print(f"{counts['pairs']} pairs, {counts['accepts']} false accepts, {counts['rejects']} false rejects")


def _verdict(pair: JudgedLine, rule: AnswerRule, place: AnswerPlace) -> Verdict:
    try:
        record = _with_options(pair.record)
        answer, options = answer_of(record), options_of(record)
        numbers = options.names if options.numbered else ()
        return check(pair.response, answer, rule, place, numbers, _split(record)[0])
    except InvalidDataset as error:
        return Verdict(correct=False, reason=f"bad-record: {error.detail}")


def _with_options(record: dict[str, Any]) -> dict[str, Any]:
    """The record with the options that only its question has, as MMStar and MathVerse publish them."""
    inside = [] if options_of(record).texts else _split(record)[1]
    return record | {"choices": inside} if inside else record


def _split(record: dict[str, Any]) -> tuple[str, list[str]]:
    """The question without the options that stand in it, and these, as an import reads them."""
    question, options = options_in(question_in(record))
    return (question, options) if options else options_on_a_line(question, gold_in(record))


def _pairs(file: Path) -> Iterator[tuple[int, JudgedLine]]:
    """Lines with their numbers from 1. Raises InvalidInput naming the line."""
    for number, line in numbered_lines(file):
        where = f"{file.name} line {number}"
        try:
            yield number, JudgedLine.model_validate(object_on(line, where, EXAMPLE))
        except ValidationError as error:
            raise wrong_member(error, where, EXAMPLE) from None
