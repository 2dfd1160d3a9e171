"""M3CoT (arXiv 2405.16473): test split, 2,318 questions of science, commonsense and mathematics.

Official rule (LightChen233/M3CoT, `utils/metric.py`): of a response with `[Answer]`, what follows the last one. Then
the last single letter in parentheses; else the choices whose text occurs, of which the one that comes last among the
OPTIONS counts, not the one that comes last in the text; else a capital letter alone; else a small letter alone.

Where toolkits differ: neither VLMEvalKit nor lmms-eval carries this set. Here the rule is given the text after the
answer heading where a response has one, since a chain of thought repeats the options; `[Answer]` goes first.
"""

import re

from mstar.answers.options import LETTERS
from mstar.judges.benchmark import Benchmark, Item, Row
from mstar.judges.options import lettered_choice, question_of, text_of
from mstar.judges.responses import answer_or_whole
from mstar.types import Verdict

COLUMNS = ("science", "commonsense", "mathematics")
_LETTER = re.compile(r"\(([A-Za-z])\)")
_STOPS = str.maketrans(dict.fromkeys("\n.,!?", " "))


def read(row: Row) -> Item:
    """An item from a row of the published JSON lines or Parquet. Raises InvalidDataset."""
    options, letter = lettered_choice(row)
    return Item(
        id=text_of(row, "id", "index"),
        question=question_of(row),
        options=options,
        gold=letter,
        hint=text_of(row, "context", "hint"),
        group=text_of(row, "domain").casefold() or "ALL",
        subgroup=text_of(row, "topic"),
    )


def prompt(item: Item) -> str:
    """Context, question and choices under the headings of the official requests."""
    context = f"[Context]\n{item.hint}\n" if item.hint else ""
    options = "\n".join(f"({letter}) {text}" for letter, text in zip(LETTERS, item.options, strict=False))
    return f"{context}[Question]\n{item.question}\n[Choices]\n{options}"


def judge(response: str, item: Item) -> Verdict:
    """The official rule on the answer's text."""
    # The published mark wins over our heading: a model that was trained on the set writes it.
    text = response if "[Answer]" in response else answer_or_whole(response)
    letter = named_letter(text, item.options)
    return Verdict(correct=letter == item.gold, extracted=letter, reason="m3cot-choice" if letter else "m3cot-failed")


def named_letter(text: str, options: tuple[str, ...]) -> str | None:
    """Letter that the official rule reads from a text; None where it fails."""
    if "[Answer]" in text:
        text = text.split("[Answer]")[-1].split("[Rationale]")[0].split("[Context]")[0]
    bracketed = _LETTER.findall(text)
    if bracketed:
        return str(bracketed[-1]).upper()
    letters = LETTERS[: len(options)]
    lower = text.lower()
    # The last among the OPTIONS, as the official loop overwrites its find.
    named = [letter for letter, option in zip(letters, options, strict=True) if option.lower() in lower]
    words = text.translate(_STOPS).split(" ")
    for found in (named, [one for one in letters if one in words], [one for one in letters if one.lower() in words]):
        if found:
            return found[-1]
    return None


M3COT = Benchmark(
    name="m3cot", title="M3CoT", read=read, prompt=prompt, judge=judge, columns=COLUMNS,
    files=r"m3cot", size=2318, vlmevalkit="", lmms_eval="",
)  # fmt: skip
