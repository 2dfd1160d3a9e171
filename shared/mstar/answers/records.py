"""Reads the reference answer of a data set's row, in the columns that published sets have.

MathVista (`answer`, `choices`, `answer_type`, `precision`, `unit`), M3CoT and ScienceQA (`choices` with a letter or an
index), MMBench (`A` to `D` and a letter), AI2D (`options` with an index), ChartQA (`label`), DocVQA and VQA (`answers`
of several people), OlympiadBench (`final_answer`, all of which count), and plain `question` with `answer`.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from mstar.answers.choices import SEPARATOR
from mstar.answers.find import boxes, find_answer
from mstar.answers.kinds import KINDS, kind_of
from mstar.answers.marks import bare, plain, spaced_once
from mstar.answers.numbers import read_number
from mstar.answers.options import (
    CHOICE_COLUMNS,
    LETTERS,
    Options,
    cell_text,
    missing,
    options_of,
    own_mark,
    parsed,
)
from mstar.answers.rule import DEFAULT_RULE, AnswerPlace
from mstar.answers.units import contradict
from mstar.errors import InvalidDataset
from mstar.types import Answer, AnswerType

GOLD_COLUMNS = (
    "answer", "gold", "ground_truth", "target", "final_answer", "multiple_choice_answer", "answers", "correct_answer",
    "correct_choice_idx", "correct_option", "correct_choice", "correct_index", "label", "solution", "gt",
)  # fmt: skip
QUESTION_COLUMNS = ("question", "query", "prompt", "problem", "problem_text", "instruction")
_LETTER = re.compile(r"(?:option|choice|answer)?\s*[(\[]?\s*([A-Za-z])\s*[)\].:]?", re.IGNORECASE)
_CALLED = re.compile(r"^(\$?)\s*\\text\s*\{\s*[A-Za-z ]{4,40}\}\s*=\s*(?=[\d.])")
"""MathVerse's `\\text{Area }=32.99 \\mathrm{~cm}^2`."""
_FINAL = re.compile(r"(?:\*\*)?(?:the )?final answer(?:\*\*)?(?: is)?:(?:\*\*)?\s*(?P<answer>\S.*?)\.?", re.IGNORECASE)
_STATED = re.compile(
    r"(?:so|thus|hence|therefore)?,?\s*the (?:final |correct )?answer is:?\s*"
    r"(?P<answer>(?!.*\b(?:because|since|as)\b)\S[^.;]{0,60}?(?:\.\d+)?)\.?",
    re.IGNORECASE,
)
"""The last sentence of a solution; one that goes on, `… is 7 because …`, is no answer alone."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_EMPTY = ("null", "<na>", "#n/a", "nat")
"""What else tables write for an answer that is not there; `None` and `N/A` may be what a form or a chart says."""
_A_CROWD = 6
"""People who answer VQA's questions are ten; a document's answer has a few spellings."""
_LONGEST_BARE = 80
"""Characters; a longer text with a box in it is a solution."""
_SAYS = re.compile(r"(?<![\\A-Za-z{])[A-Za-z]{2,} [A-Za-z]{2,}|:\s|\b(?:so|thus|hence|since)\b", re.IGNORECASE)
"""What a short text with a box says around it, which is then a solution too: `Since AB = AC, AB = \\boxed{5}`."""


class ChoiceForm(StrEnum):
    """What a data set writes for the right option."""

    LETTER = "letter"
    INDEX = "index"
    TEXT = "text"


def answer_of(record: Mapping[str, Any], first_index: int = 0, choice_form: ChoiceForm | None = None) -> Answer:
    """The reference answer of a row. `first_index`: what the first option is called where options are numbered.

    `choice_form`: what stands for the right option; None takes any, unless two readings name different options.

    Raises InvalidDataset naming the column and what it should hold.
    """
    column = next((name for name in GOLD_COLUMNS if record.get(name) is not None), None)
    if column is None:
        raise InvalidDataset(f"the answer is missing: add a column {GOLD_COLUMNS[0]!r}", field="answer")
    if column == "answers" and isinstance(record[column], str):
        record = {**record, column: _spellings(record[column])}
    raw, others = _single(record[column], column), _others(record, column)
    # MMMU lists spellings of one answer, of which each is right.
    if record.get("question_type") == "open" and isinstance(raw, str) and isinstance(several := parsed(raw), list):
        raw, others = next(iter(several), raw), several
    value = _reference(cell_text(raw, column))
    options = options_of(record)
    if (missing(value) or value.casefold() in _EMPTY) and value not in options.texts:
        raise InvalidDataset(f"{column} is {value!r}, which tables write for an empty cell: correct it", field=column)
    # A list of the format is not text in brackets, which may be an interval.
    listed = isinstance(raw, (list, tuple)) and value.startswith("[")
    kind = kind_of(record, value, options.texts, listed=listed)
    unit, precision = _unit(record.get("unit")), precision_of(record.get("precision"))
    if kind is AnswerType.CHOICE:
        form = choice_form or _form_of(record)
        value = _letter_of(raw, value, options, column, first_index, form)
    elif kind in (AnswerType.INTEGER, AnswerType.FLOAT):
        value, unit, kind = _number(value, unit, kind, column)
    # Of a choice all spellings are texts of its options.
    also = () if kind is AnswerType.CHOICE else _told_apart(value, others, column)
    if kind in (AnswerType.INTEGER, AnswerType.FLOAT) and not unit:
        unit = _unit_among(value, also)
    try:
        return Answer(type=kind, value=value, choices=options.texts, precision=precision, unit=unit, alternatives=also)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = {"value": column}.get(str(first["loc"][0]), str(first["loc"][0]))
        raise InvalidDataset(f"{name}: {first['msg']}", field=name) from None


def columns_of(answer: Answer) -> dict[str, Any]:
    """Columns that `answer_of` reads again, without those that hold nothing."""
    columns = {
        "answer": answer.value, "answer_type": answer.type.value, "choices": list(answer.choices),
        "precision": answer.precision, "unit": answer.unit, "alternatives": list(answer.alternatives),
    }  # fmt: skip
    return {name: value for name, value in columns.items() if value not in (None, [])}


def question_in(record: Mapping[str, Any]) -> str:
    """The text of a row's question, empty where no known column has one."""
    return next((str(record[name]) for name in QUESTION_COLUMNS if isinstance(record.get(name), str)), "")


def gold_in(record: Mapping[str, Any]) -> Any:
    """What the row has for its answer, an empty text where it has none."""
    return next((record[name] for name in GOLD_COLUMNS if record.get(name) is not None), "")


def _single(raw: Any, column: str) -> Any:
    """A list of one as that one, what most people answered, and several solutions as the set of them."""
    if not isinstance(raw, (list, tuple)) or not raw:
        return raw
    if column == "answers":
        said = _said(raw)
        counts = Counter(plain(str(one)) for one in said)
        return max(said, key=lambda one: counts[plain(str(one))])
    if len(raw) == 1 and isinstance(raw[0], (str, int, float)):
        return raw[0]
    if column == "final_answer":
        return rf"\{{{', '.join(bare(cell_text(one, column)) for one in raw)}\}}"
    return raw


def _spellings(text: str) -> Any:
    """The list that a table's cell holds, `["car", "automobile"]` or `car|automobile`; a text that is none as it is."""
    found = parsed(text)
    parts = [part.strip() for part in text.split("|")]
    # Other signs stand between parts of one answer as well: `3; 4`.
    return parts if isinstance(found, str) and len(parts) > 1 and all(parts) else found


def _said(listed: Sequence[Any]) -> list[Any]:
    """What each of several people answered."""
    return [one.get("answer") if isinstance(one, Mapping) else one for one in listed]


def _others(record: Mapping[str, Any], column: str) -> Sequence[Any]:
    """Further answers, each of which is right as well: a column of their own, or what DocVQA's `answers` list."""
    if column != "answers":
        own = record.get("alternatives")
        own = _spellings(own) if isinstance(own, str) else own
        return own if isinstance(own, (list, tuple)) else ()
    listed = record[column]
    if not isinstance(listed, (list, tuple)) or len(listed) >= _A_CROWD:
        return ()
    # Where most people say one thing, what the others say is not a second answer.
    counts = Counter(plain(str(one)) for one in _said(listed))
    return [one for one in _said(listed) if counts[plain(str(one))] == max(counts.values())]


def _told_apart(value: str, others: Sequence[Any], column: str) -> tuple[str, ...]:
    """The texts that say something else than the answer, each once."""
    told = {plain(text): text for text in (_reference(cell_text(one, column)) for one in others if not missing(one))}
    return tuple(text for folded, text in told.items() if folded != plain(value))


def _unit_among(value: str, others: Sequence[str]) -> str | None:
    """`$` for 2,350 where another spelling is `$2,350`."""
    numbers = [read_number(text, DEFAULT_RULE) for text in (value, *others)]
    same = (one.unit for one in numbers[1:] if one and numbers[0] and one.value == numbers[0].value and one.unit)
    return next(same, None)


def _unit(value: Any) -> str | None:
    """The text of a unit, None for an empty cell. Raises InvalidDataset for what can be none, such as a number."""
    if missing(value):
        return None
    # Nor is `5` a unit where a table holds it as a text.
    if not isinstance(value, str) or not re.search(r"[^\W\d_]|[^\w\s.,+-]", value):
        shown = repr(value)[:40]
        raise InvalidDataset(f"unit {shown} is not a unit: give its name, such as 'cm', or leave it out", field="unit")
    return value


def _number(value: str, unit: str | None, kind: AnswerType, column: str) -> tuple[str, str | None, AnswerType]:
    """The value with its unit apart; an integer that is written `14.0` stays one."""
    number = read_number(value, DEFAULT_RULE)
    if number is None:
        raise InvalidDataset(
            f"{column} {value[:80]!r} is not a number: correct it, or set answer_type to text", field=column
        )
    if kind is AnswerType.INTEGER and number.value.denominator != 1:
        raise InvalidDataset(f"{column} {value[:80]!r} is not an integer: set answer_type to float", field=column)
    if unit and number.unit and contradict(number.unit, unit):
        raise InvalidDataset(
            f"{column} {value[:80]!r} is in {number.unit}, and unit says {unit[:40]!r}: correct one of them",
            field="unit",
        )
    return value, unit or number.unit or None, kind


def _form_of(record: Mapping[str, Any]) -> ChoiceForm | None:
    """What the row's own columns say: MathVista gives texts, columns A to D go with a letter."""
    named = str(record.get("answer_type") or "").strip().casefold()
    if named in ("text", "string") or record.get("question_type") == "multi_choice":
        return ChoiceForm.TEXT
    lettered = not any(record.get(name) for name in CHOICE_COLUMNS)
    return ChoiceForm.LETTER if lettered or KINDS.get(named) is AnswerType.CHOICE else None


def _letter_of(raw: Any, value: str, options: Options, column: str, first_index: int, form: ChoiceForm | None) -> str:
    """The letter of the right option: by its text, its name, its letter, or its index.

    Two readings that name different options are refused, unless it is known which form the set has.
    """
    readings = _readings(raw, value, options, first_index)
    if not readings and options.texts:
        parts = raw if isinstance(raw, (list, tuple)) else parsed(value)
        # A list of one is that one: some sets write each answer as a list.
        if isinstance(parts, (list, tuple)) and len(parts) == 1:
            readings = _readings(parts[0], str(parts[0]).strip(), options, first_index)
        elif several := _several(parts, value, options):
            return several
    if form in readings:
        return readings[form]
    texts = [plain(option) for option in options.texts]
    if len({texts[LETTERS.index(letter)] if texts else letter for letter in readings.values()}) > 1:
        shown = " and ".join(f"the {form_} of option {letter}" for form_, letter in readings.items())
        raise InvalidDataset(
            f"{column} {value[:80]!r} is {shown}: set answer_type to choice for letters or to text for texts",
            field=column,
        )
    if readings:
        return next(iter(readings.values()))
    # One beyond the last counts from 1; all others before it would be taken for their neighbours.
    ones = "; where options count from 1, say --first-index 1" if value == str(len(texts)) and not first_index else ""
    raise InvalidDataset(
        f"{column} {value[:80]!r} is none of the {len(texts)} options: give an option's text, letter or index{ones}",
        field=column,
    )


def _several(raw: Any, value: str, options: Options) -> str:
    """Letters of several options that are right together, as `A, C`, `AC` or a list of letters or texts; else empty."""
    parts = raw if isinstance(raw, (list, tuple)) else re.split(r"\s*[,;&/]\s*", value)
    if len(parts) == 1 and re.fullmatch(r"[A-Z]{2,8}", value):
        parts = list(value)
    letters = []
    for part in map(str, parts):
        place = _place(part, options)
        if place is not None:
            letters.append(LETTERS[place])
        elif letter := _lettered(part, options):
            letters.append(letter)
        else:
            return ""
    return SEPARATOR.join(sorted(letters)) if len(set(letters)) == len(letters) > 1 else ""


def _readings(raw: Any, value: str, options: Options, first_index: int) -> dict[ChoiceForm, str]:
    """Which option each form of writing it would name."""
    found: dict[ChoiceForm, str] = {}
    texts = [plain(option) for option in options.texts]
    if (own := _place(value, options)) is not None:
        found[ChoiceForm.TEXT] = LETTERS[own]
    mark, text = own_mark(value) or ("", "")
    letter = _lettered(value, options) or (_lettered(mark, options) if mark and plain(text) in texts else "")
    if letter and (not mark or plain(text) == texts[LETTERS.index(letter)]):
        found[ChoiceForm.INDEX if options.numbered else ChoiceForm.LETTER] = letter
    # Numbers that the options have themselves say more than their places do.
    if re.fullmatch(r"\d{1,2}(?:\.0)?", value) and not isinstance(raw, bool) and not options.numbered:
        place = int(float(value)) - first_index
        if 0 <= place < len(texts):
            found[ChoiceForm.INDEX] = LETTERS[place]
    return found


def _place(text: str, options: Options) -> int | None:
    """The place of the option with this text, in its own case where there is one, else in any."""
    for read in (spaced_once, plain):
        texts = [read(option) for option in options.texts]
        if read(text) in texts:
            return texts.index(read(text))
    return None


def _lettered(text: str, options: Options) -> str:
    """The letter of the option that goes by this name or, where the row has no names of its own, by this letter."""
    if options.names:
        place = options.named(bare(text))
        return "" if place is None else LETTERS[place]
    letter = _LETTER.fullmatch(bare(text))
    known = letter and (not options.texts or LETTERS.index(letter[1].upper()) < len(options.texts))
    return letter[1].upper() if letter and known else ""


def _reference(text: str) -> str:
    """The answer itself, where the column has a marked solution: GSM8K's `#### 7`, a tag, the box of several sentences.

    A text without a mark stays as it is.
    """
    _, mark, last = text.rpartition("\n#### ")
    if mark and "\n" not in last.strip():
        return last.strip() or text
    if tag := find_answer(text, AnswerPlace.ANSWER_TAG):
        return tag
    # Solutions of Math-PUMA and VLAA-Thinking.
    _, mark, last = text.rpartition("\u2020Answer:")
    if mark and last.strip():
        return last.strip().removesuffix(".").split("\n")[0].strip()
    # What MMPR's chosen responses end in.
    if final := _FINAL.fullmatch(text.rpartition("\n")[2].strip()):
        return find_answer(final["answer"], AnswerPlace.BOXED) or final["answer"].strip("* ")
    if stated := _STATED.fullmatch(_SENTENCE.split(text)[-1].strip()):
        return stated["answer"].strip("* ")
    text = _CALLED.sub(r"\1", text, count=1)
    solution = "\n" in text or len(text) > _LONGEST_BARE or _SAYS.search(_outside_boxes(text))
    return (find_answer(text, AnswerPlace.BOXED) if solution else None) or text


def _outside_boxes(text: str) -> str:
    """A text without its boxes; empty where it has none."""
    found = boxes(text)
    ends = zip([0, *(end for _, end, _ in found)], [*(begin for begin, _, _ in found), len(text)], strict=True)
    return " ".join(text[begin:end] for begin, end in ends) if found else ""


def precision_of(value: Any) -> int | None:
    """Decimals that count, from a column; None for an empty one. Raises InvalidDataset."""
    if missing(value):
        return None
    try:
        places = int(float(value))
    except (TypeError, ValueError, OverflowError):
        raise InvalidDataset(f"precision {str(value)[:40]!r} is not a number of decimals", field="precision") from None
    if not 0 <= places <= 12:
        raise InvalidDataset(f"precision {places} must be between 0 and 12", field="precision")
    return places
