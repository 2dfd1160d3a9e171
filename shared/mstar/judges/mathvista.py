"""MathVista (arXiv 2310.02255): testmini, 1,000 questions; choices, integers, floats and lists.

Official rule (lupantech/MathVista, `evaluation/`): an answer is extracted, brought into the form of its type, and
compared as text. Choices: a letter in parentheses or alone, else the option with the least edit distance, so a wrong
text still lands on an option. Integers: cut off after the point. Floats: rounded to the item's precision.

Where toolkits differ: extraction is a language model's in the official code. Here the text after the answer heading
stands in for it, and a response without an answer is wrong. lmms-eval follows the official rule with another model.
VLMEvalKit compares floats by value without rounding and has no edit distance, so its numbers are not these.
"""

import re
from typing import Any

from mstar.answers.numbers import read_number
from mstar.answers.options import CHOICE_COLUMNS, LETTERS
from mstar.answers.records import answer_of, precision_of
from mstar.answers.rule import DEFAULT_RULE
from mstar.errors import InvalidDataset
from mstar.judges.benchmark import Benchmark, Item, Row
from mstar.judges.options import question_of, text_of
from mstar.judges.responses import stated
from mstar.types import Verdict

COLUMNS = ("FQA", "GPS", "MWP", "TQA", "VQA")
_TASKS = {
    "figure question answering": "FQA", "geometry problem solving": "GPS", "math word problem": "MWP",
    "textbook question answering": "TQA", "visual question answering": "VQA",
}  # fmt: skip
_HINTS = {
    "choice": "Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.",
    "integer": "Please answer the question requiring an integer answer and provide the final value, e.g., 1, 2, 3, at "
    "the end.",
    "float1": "Please answer the question requiring a floating-point number with one decimal place and provide the "
    "final value, e.g., 1.2, 1.3, 1.4, at the end.",
    "float2": "Please answer the question requiring a floating-point number with two decimal places and provide the "
    "final value, e.g., 1.23, 1.34, 1.45, at the end.",
    "list": "Please answer the question requiring a Python list as an answer and provide the final list, e.g., [1, 2, "
    "3], [1.2, 1.3, 1.4], at the end.",
}
_LETTER = re.compile(r"\(([a-zA-Z])\)")
_TASK_LENGTH = 40


def read(row: Row) -> Item:
    """An item from a row of the published JSON or Parquet, or of VLMEvalKit's table. Raises InvalidDataset."""
    metadata = row.get("metadata")
    task = text_of(metadata if isinstance(metadata, dict) else {}, "task") or text_of(row, "task")
    # VLMEvalKit's table has the short names already.
    group = _TASKS.get(task.casefold(), task if task in COLUMNS else "")
    if not group:
        raise InvalidDataset(
            f"metadata.task {task[:_TASK_LENGTH]!r} is unknown: use one of {', '.join(_TASKS)}", field="metadata.task"
        )
    common: dict[str, Any] = {
        "id": text_of(row, "pid", "index", "id"), "question": question_of(row), "group": group,
        "unit": text_of(row, "unit"),
    }  # fmt: skip
    if text_of(row, "question_type") == "multi_choice" or any(row.get(name) for name in CHOICE_COLUMNS):
        answer = answer_of({**row, "answer_type": "choice"})
        if not answer.choices:
            raise InvalidDataset("choices are missing for a multi_choice question", field="choices")
        return Item(gold=answer.value, options=answer.choices, **common)
    kind, precision = text_of(row, "answer_type"), row.get("precision")
    if kind not in ("integer", "float", "list", "text"):
        raise InvalidDataset(f"answer_type {kind[:40]!r} must be integer, float, list or text", field="answer_type")
    gold = text_of(row, "answer")
    if not gold:
        raise InvalidDataset("answer is empty: the test split has no public answers, use testmini", field="answer")
    places = precision_of(precision) if kind == "float" else None
    return Item(gold=gold, kind=kind, precision=places, **common)


def prompt(item: Item) -> str:
    """Question with its unit, choices, hint and `Solution:`, as `build_query.py` joins them for zero-shot solutions."""
    parts = [f"Question: {item.question}" + (f" (Unit: {item.unit})" if item.unit else "")]
    if item.options:
        parts.append("Choices:")
        parts += [f"({letter}) {text}" for letter, text in zip(LETTERS, item.options, strict=False)]
    hint = _HINTS.get(f"float{item.precision}" if item.kind == "float" else item.kind)
    return "\n".join([*parts, *([f"Hint: {hint}"] if hint else []), "Solution:"])


def judge(response: str, item: Item) -> Verdict:
    """Extract, bring into the type's form, compare."""
    # A response that is an option's text needs no extraction, in the official code as well.
    said = response.strip() if response.strip() in item.options else stated(response)
    if said is None:
        said = _bare_value(response, item)
    if not said:
        return Verdict(correct=False, reason="mathvista-no-answer")
    found = normalised(_without_unit(said, item), item)
    return Verdict(correct=found == _gold(item), extracted=said, reason=f"mathvista-{item.kind}")


def normalised(extraction: str, item: Item) -> str | None:
    """An extracted answer in the form in which the official rule compares it; None where it has no such form."""
    if item.kind == "choice":
        return _option(extraction.strip(), item.options)
    try:
        if item.kind == "integer":
            # As published: int() cuts off, so 3.9 counts for 3.
            return str(int(float(extraction)))
        if item.kind == "float":
            # A float also with 0 decimals, as in the official code: `3.0` is never the reference `3`.
            return str(round(float(extraction), item.precision or 0))
    except (ValueError, OverflowError):
        return None
    return extraction


def _gold(item: Item) -> str:
    return item.options[LETTERS.index(item.gold)] if item.kind == "choice" else item.gold


def _option(text: str, options: tuple[str, ...]) -> str:
    found = _LETTER.findall(text)
    letter = found[0].upper() if found else text
    letters = LETTERS[: len(options)]
    if len(letter) == 1 and letter in letters:
        return options[letters.index(letter)]
    # The official rule measures the letter, not the text, once it has found one.
    return min(options, key=lambda option: edit_distance(letter, option))


def _bare_value(response: str, item: Item) -> str:
    """A response that is nothing but an answer, which the official code takes without extraction."""
    text = response.strip()
    if item.kind == "choice":
        return text if len(text) <= max(map(len, item.options)) + 8 else ""
    return text if read_number(text, DEFAULT_RULE) is not None or (item.kind == "list" and text[:1] == "[") else ""


def _without_unit(said: str, item: Item) -> str:
    """The number alone where the answer has words or a unit beside it, as the official examples extract it."""
    if item.kind not in ("integer", "float"):
        return said
    try:
        float(said)
    except ValueError:
        number = read_number(said, DEFAULT_RULE)
        return said if number is None else str(float(number.value))
    return said


def edit_distance(one: str, other: str) -> int:
    """Levenshtein's distance: insertions, deletions and replacements, each counted 1."""
    # One row of the table at a time: [len(other) + 1]
    above = list(range(len(other) + 1))
    for row, sign in enumerate(one, 1):
        line = [row]
        for place, opposite in enumerate(other, 1):
            line.append(min(above[place] + 1, line[-1] + 1, above[place - 1] + (sign != opposite)))
        above = line
    return above[-1]


MATHVISTA = Benchmark(
    name="mathvista", title="MathVista", read=read, prompt=prompt, judge=judge, columns=COLUMNS,
    files=r"mathvista|testmini", size=1000, vlmevalkit="MathVista_MINI", lmms_eval="mathvista_testmini_cot",
)  # fmt: skip
