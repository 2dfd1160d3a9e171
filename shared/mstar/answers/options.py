"""Reads the options of a data set's row, in the shapes that published sets have, with what the row itself calls them.

An answer `1` beside `{"1": …, "2": …}` means the option of that name, and `C` beside columns A, C and D that of column
C, wherever it stands among the options. What this leaves out: which option the answer names (`records`).
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Any

from mstar.answers.marks import spaced_once
from mstar.errors import InvalidDataset

CHOICE_COLUMNS = ("choices", "options", "candidates", "option", "answer_choices", "multi-choice options")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LETTER_COLUMNS = (*LETTERS[:8], *(f"{word}_{letter}" for word in ("choice", "option") for letter in "abcdefgh"))
"""Columns of one option each: MMBench's `A`, SEED-Bench's `choice_a`."""
NUMBER_COLUMNS = tuple(f"{word}{gap}{n}" for word in ("choice", "option") for gap in ("", "_") for n in range(10))
"""The same with numbers: `option1`, which is then what an answer 1 means."""
_MARKED = re.compile(r"(?:([A-Za-z])\s*[.):]|\(([A-Za-z])\)|(\d{1,2})[.)](?=\s))\s*(\S.*)", re.DOTALL)
"""`A. cat`, `(a) cat`, `1. cat`; no `1.5` and no `(1) and (2)`."""
_LISTED = re.compile(r"\n\s*(?:Choices|Options):?\s*\n?(?P<list>.*)$", re.IGNORECASE | re.DOTALL)
_ON_A_LINE = re.compile(r"\(?([A-Z])[).:]\s*(\S.*)")
_IN_A_ROW = re.compile(r"(?:^|\n|\s)\(?([A-Z])[).:]\s*(.*?)(?=(?:\n|\s)\(?[A-Z][).:]\s|\s*$)", re.DOTALL)
_ROWS_OF_MARKS = tuple(
    re.compile(rf"(?<!\S){mark}\s*(?=\S)") for mark in (r"\(([A-Za-z])\)", r"([A-Z])\.", r"([A-Z]):", r"([A-Z])\)")
)
_BETWEEN = ("\n", "<br>", "|", ";")
"""What tables put between the options of a cell."""
_HEADED = re.compile(r"(?:(?<=[.?!)])\s*|\n\s*|\A\s*)(?:choices|options):?\s*$", re.IGNORECASE)
_NAME = re.compile(r"(?:(?:option|choice|answer)[\s_-]*)?[(\[]?\s*([A-Za-z]|\d{1,4})(?:\.0)?\s*[)\].:]?", re.IGNORECASE)
_NAMES = ("label", "letter", "key", "id")
_TEXTS = ("text", "value", "content")
_QUOTE = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_NUMPY = re.compile(rf"\[\s*({_QUOTE}(?:\s+{_QUOTE})+)\s*\]")
_ARRAY = re.compile(r"\Aarray\((\[.*\])(?:,\s*dtype=[^()]*)?\)\Z", re.DOTALL)
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
"""Python would join two quoted texts with nothing but a space between them to one."""


@dataclass(frozen=True)
class Options:
    """The texts of a row's options in their order."""

    texts: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """What the row calls each, in lower case; empty where it calls them A, B, C … or nothing."""

    def named(self, text: str) -> int | None:
        """The place of the option that the row calls so; None where it calls none so."""
        found = _NAME.fullmatch(text.strip())
        name = (found[1] if found else text.strip()).casefold()
        return self.names.index(name) if name in self.names else None

    @property
    def numbered(self) -> bool:
        """Whether the row's own names are numbers."""
        return bool(self.names) and all(name.isdigit() for name in self.names)


def options_of(record: Mapping[str, Any]) -> Options:
    """Options of a row; none where it has none. Raises InvalidDataset."""
    raw = next((record[name] for name in CHOICE_COLUMNS if record.get(name)), None)
    if raw is None:
        lettered = {name[-1].upper(): record[name] for name in LETTER_COLUMNS if not missing(record.get(name))}
        numbered = {name[-1]: record[name] for name in NUMBER_COLUMNS if not missing(record.get(name))}
        return (
            _options(lettered if len(lettered) > 1 else numbered)
            if max(len(lettered), len(numbered)) > 1
            else Options()
        )
    if isinstance(raw, str):
        raw = parsed(raw)
    return _options(separated(raw) if isinstance(raw, str) else raw)


_REQUEST = re.compile(r"(?:please\s+)?(?:answer|respond|reply|select|choose|pick)\b", re.IGNORECASE)
"""How a line after the options begins that asks for a letter: `Answer with the letter.`"""


def options_in(question: str) -> tuple[str, list[str]]:
    """A question without the options that stand at its end under `Choices:` or `Options:`, and these; else none."""
    found = _LISTED.search(question)
    if found is None:
        return question.strip(), []
    lines = [line.strip() for line in found["list"].split("\n") if line.strip()]
    while lines and _REQUEST.match(lines[-1]):
        lines.pop()
    on_lines = [match.groups() for line in lines if (match := _ON_A_LINE.fullmatch(line))]
    options = on_lines if 1 < len(on_lines) == len(lines) else _IN_A_ROW.findall("\n".join(lines))
    # A single match is more often a sentence that begins with `A.` than an option.
    if len(options) < 2:
        return question.strip(), []
    return question[: found.start()].strip(), [text.strip().rstrip(",") for _, text in options]


def options_on_a_line(question: str, answer: Any) -> tuple[str, list[str]]:
    """A question without the options at its end, `(A) 3 (B) 4` or `A. 3, B. 4`, and these; else none.

    Only where the answer is one of them, so that a sentence that begins with `A.` is not an option.
    """
    asked = _without_request(question)
    for marks in _ROWS_OF_MARKS:
        found = list(marks.finditer(asked))
        names = "".join(mark[1] for mark in found).upper()
        begin = names.rfind("A")
        if begin < 0 or len(names) - begin < 2 or names[begin:] != LETTERS[: len(names) - begin]:
            continue
        ends = [*(mark.start() for mark in found[begin + 1 :]), len(asked)]
        texts = [asked[mark.end() : end].strip(" \n,;") for mark, end in zip(found[begin:], ends, strict=True)]
        mark = own_mark(str(answer).strip())
        if mark and names.find(mark[0].upper(), begin) >= 0:
            # Its own name and text: `B) 13 cm`.
            place = names.index(mark[0].upper(), begin) - begin
            answer = mark[0] if spaced_once(texts[place]).casefold() == spaced_once(mark[1]).casefold() else answer
        said = spaced_once(str(answer)).strip("()").casefold()
        if all(texts) and (said.upper() in names[begin:] or said in (spaced_once(text).casefold() for text in texts)):
            return _HEADED.sub("", asked[: found[begin].start()]).strip(), texts
    return question, []


def _without_request(question: str) -> str:
    """A question without the lines at its end that ask for a letter, which are not part of the last option."""
    lines = question.rstrip().split("\n")
    while len(lines) > 1 and _REQUEST.match(lines[-1].strip()):
        lines.pop()
    return "\n".join(lines).rstrip()


def repeated_options(texts: Sequence[str]) -> frozenset[str]:
    """Options that stand there more than once. Their case counts: `Aa` and `aa` are two in genetics."""
    seen = Counter(map(spaced_once, texts))
    return frozenset(text for text in texts if seen[spaced_once(text)] > 1)


def own_mark(text: str) -> tuple[str, str] | None:
    """The name in front of an option's text, in lower case, and the text; None without one."""
    found = _MARKED.fullmatch(text)
    return ((found[1] or found[2] or found[3]).casefold(), found[4]) if found else None


def cell_text(value: Any, column: str) -> str:
    """A JSON scalar or list as the text of an answer: true is `True`, 1e-07 is `0.0000001`. Raises InvalidDataset."""
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise InvalidDataset(f"{column} is not a finite number", field=column)
        return f"{value:.12f}".rstrip("0").rstrip(".") if value and abs(value) < 1e-4 else repr(value)
    if isinstance(value, Decimal | date | time):
        return str(value)
    if isinstance(value, (list, tuple)):
        if not value:
            raise InvalidDataset(f"{column} is an empty list", field=column)
        return json.dumps(list(value), ensure_ascii=False, default=lambda one: cell_text(one, column))
    if not isinstance(value, (str, int)):
        named = next((name for name in value if isinstance(name, str)), "value") if isinstance(value, Mapping) else ""
        mend = f": name the part that holds it in a mapping (columns: {{answer: {column}.{named}}})" if named else ""
        raise InvalidDataset(f"{column} must be a text, a number or a list{mend}", field=column)
    text = str(value).strip()
    if not text:
        raise InvalidDataset(f"{column} is empty", field=column)
    return text


def missing(value: Any) -> bool:
    """Whether a table's cell is empty: also a float that is not itself, and how pandas writes that as a text."""
    return (
        value is None or value == "" or value != value or (isinstance(value, str) and value.strip() in ("nan", "NaN"))
    )


def parsed(text: str) -> Any:
    """A list that a table holds as text, in JSON, as Python or numpy writes it, or marked, `A. cat; B. dog`."""
    text = _ARRAY.sub(r"\1", text.strip())
    if (found := _NUMPY.fullmatch(text)) is not None:
        return [one or other for one, other in _QUOTED.findall(found[1])]
    for between in (r"\n", r";\s*(?=\(?[A-Z][.):])"):
        lines = [line.strip() for line in re.split(between, text.strip()) if line.strip()]
        if len(lines) > 1 and _marks(lines):
            return lines
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return text


def separated(text: str) -> Any:
    """The parts of `red|blue`, `red; blue`, `(A) red (B) blue` or a text of several lines; others stay a text.

    A comma may be part of an option, and so may a bar or a semicolon beside one of the others.
    """
    if len(named := _IN_A_ROW.findall(text)) > 1 and "".join(name for name, _ in named) == LETTERS[: len(named)]:
        return [part.strip().rstrip(",;") for _, part in named]
    signs = [sign for sign in _BETWEEN if sign in text.strip()]
    parts = [part.strip() for part in text.strip().strip("|;").split(signs[0])] if len(signs) == 1 else []
    return parts if len(parts) > 1 and all(parts) and all(map(_closed, parts)) else text


def _closed(text: str) -> bool:
    """Whether every bracket of a text is closed in it, so that it is no half of `(1; 2)`."""
    return all(text.count(opening) == text.count(closing) for opening, closing in ("()", "[]", "{}"))


def _options(raw: Any) -> Options:
    names: Sequence[Any] = ()
    if _are_pairs(raw):
        raw = dict(raw)
    if isinstance(raw, Mapping):
        names, raw = _of_mapping(raw)
    if isinstance(raw, (str, bytes)) or not isinstance(raw, Sequence) or len(raw) > len(LETTERS):
        raise InvalidDataset(
            'choices must be a list of texts, 26 at most: write ["red", "blue"], or red|blue in a table',
            field="choices",
        )
    if raw and all(isinstance(one, Mapping) for one in raw):
        names = [next((one[name] for name in _NAMES if not missing(one.get(name))), None) for one in raw]
        raw = [next((one[name] for name in _TEXTS if one.get(name) is not None), None) for one in raw]
    raw = list(raw)
    # Tables pad the lists of a column to one length.
    while raw and raw[-1] is None and not names:
        raw.pop()
    if None in raw:
        letter = LETTERS[raw.index(None)]
        raise InvalidDataset(f"choices: option {letter} is empty: give its text, or leave it out", field="choices")
    texts = [cell_text(one, "choices") for one in raw]
    if not names and (marks := _marks(texts)):
        names, texts = [name for name, _ in marks], [text for _, text in marks]
    return Options(tuple(texts), _own_names(names, len(texts)))


def _are_pairs(raw: Any) -> bool:
    """Whether these are names with their texts, as Parquet's maps are read: `[("A", "red"), ("B", "blue")]`."""
    if not isinstance(raw, (list, tuple)) or len(raw) < 2 or not all(isinstance(one, (list, tuple)) for one in raw):
        return False
    names = [str(one[0]).strip() for one in raw if len(one) == 2]
    return len(set(names)) == len(raw) and all(_NAME.fullmatch(name) and not name.isdigit() for name in names)


def _of_mapping(raw: Mapping[str, Any]) -> tuple[Sequence[Any], Any]:
    """Names and texts of `{"text": […], "label": […]}` (ARC), or of `{"A": …, "B": …}` in the order of their names."""
    if isinstance(raw.get("text"), Sequence) and not isinstance(raw["text"], str):
        labels = raw.get("label")
        return (labels if isinstance(labels, Sequence) and not isinstance(labels, str) else ()), raw["text"]
    names = sorted((name for name in raw if not missing(raw[name])), key=lambda name: (len(str(name)), str(name)))
    return names, [raw[name] for name in names]


def _own_names(names: Sequence[Any], count: int) -> tuple[str, ...]:
    found = [_NAME.fullmatch(str(name).strip()) for name in names]
    own = tuple((one[1] if one else str(name).strip()).casefold() for one, name in zip(found, names, strict=True))
    usual = tuple(LETTERS[:count].casefold())
    if len(own) != count or len(set(own)) != count or None in names or own == usual:
        return ()
    return own


def _marks(options: Sequence[str]) -> list[tuple[str, str]]:
    """Name and text of each, where each begins with its own of the first letters or numbers; else empty.

    `A. Lincoln` and `J. Adams` are no such options.
    """
    found = [own_mark(option) for option in options]
    marks = [mark for mark in found if mark is not None]
    names = sorted(name for name, _ in marks)
    count = len(options)
    whole = (list(LETTERS[:count].casefold()), *(sorted(map(str, range(first, first + count))) for first in (0, 1)))
    return marks if count > 1 and names in whole else []
