"""Rows that hold several questions, as one row for each: NaturalBench's pairs of pictures, TQA's lessons, lists.

What this leaves out: conversations, whose later turns need what was said before.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mstar.answers.records import QUESTION_COLUMNS

_PAIRS = ("Image_0", "Image_1", "Question_0", "Question_1", "Image_0_Question_0", "Image_1_Question_1")
_OPTIONS = re.compile(
    r"\s*\bOptions?\s*:\s*A\s*[:.)]\s*(?P<a>\S.*?)\s*;\s*B\s*[:.)]\s*(?P<b>\S.*?)\s*[;.]?\s*\Z", re.DOTALL
)
"""NaturalBench's `Option: A: a dog; B: a cat;`."""
_ASKED = ("qa", "qas", "qa_pairs", "qa_list", "questions", "question_answers")
"""Where a row about one picture lists its questions."""
_LESSON = ("nonDiagramQuestions", "diagramQuestions")


def apart(row: Any) -> Iterator[tuple[str, Any]]:
    """Each question of a row with what its place is called beside the row's; any other row as it is."""
    if isinstance(row, Mapping) and all(name in row for name in _PAIRS):
        yield from _naturalbench(row)
    elif isinstance(row, Mapping) and isinstance(asked := row.get("questions"), Mapping) and set(_LESSON) & set(asked):
        yield from _tqa(row, asked)
    elif isinstance(row, Mapping) and (listed := _list_of(row)):
        rest = {name: value for name, value in row.items() if name != listed}
        for place, one in enumerate(row[listed], 1):
            yield f" {listed} {place}", rest | one
    else:
        yield "", row


def _list_of(row: Mapping[str, Any]) -> str | None:
    """The column that lists questions, each with its own answer, of a row that has none itself."""
    if set(QUESTION_COLUMNS) & set(row):
        return None
    return next((name for name in _ASKED if _are_questions(row.get(name))), None)


def _are_questions(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, Mapping) and set(QUESTION_COLUMNS) & set(one) for one in value)
    )


def _naturalbench(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Two pictures and two questions, each of which is asked about both and has another answer about each."""
    for question in ("Question_0", "Question_1"):
        text = str(row[question] or "")
        options = _OPTIONS.search(text)
        asked: dict[str, Any]
        if options is not None:
            asked = {"question": text[: options.start()].strip(), "choices": [options["a"], options["b"]]}
        else:
            asked = {"question": text, "choices": None}
        for picture in ("Image_0", "Image_1"):
            name = f"{picture}_{question}"
            named = {"id": f"{row['Index']}_{name}"} if row.get("Index") is not None else {}
            found = asked | {"image": row[picture], "answer": row.get(name), "group": row.get("Source")}
            yield f" {name}", named | found


def _tqa(lesson: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A lesson of a textbook, with its questions by their ids: those about a diagram name its picture."""
    for kind in _LESSON:
        listed = asked.get(kind)
        for name, about in listed.items() if isinstance(listed, Mapping) else ():
            yield f" {name}", _of_lesson(name, about) if isinstance(about, Mapping) else about


def _of_lesson(name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    choices = about.get("answerChoices")
    listed = choices if isinstance(choices, Mapping) else {}
    return {
        "id": name,
        "question": _said(about.get("beingAsked")),
        "choices": {letter: _said(one) for letter, one in listed.items()},
        "answer": _said(about.get("correctAnswer")),
        "answer_type": "choice" if listed else None,
        "image": about.get("imagePath"),
        "group": about.get("questionType"),
    }


def _said(part: Any) -> Any:
    """The cleaned text of a part, which has the one of the book beside it."""
    return part.get("processedText") if isinstance(part, Mapping) else part
