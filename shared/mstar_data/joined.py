"""Joins two JSON files that share an id, one with questions and one with their answers, as VQA and OK-VQA come.

Which files belong together is told by their first records and by their names.
"""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mstar.answers.records import GOLD_COLUMNS, QUESTION_COLUMNS
from mstar_data.bounds import Opener
from mstar_data.json_records import Rows, first_row, json_rows, line_rows
from mstar_data.mapping import Mapping as Columns
from mstar_data.mapping import column_of
from mstar_data.packed import kind_of, unpacked
from mstar_data.record import BadRecord
from mstar_data.split_names import KNOWN_SPLITS, splits_in

MOST_FILES = 64
"""JSON files of a source that are opened to see what they hold; AI2D has one for each picture."""
_JSON = (".json", ".jsonl")
_TEXTS = ("conversations", "messages", "completions", "texts")
_ID = re.compile(r"(?:question|item|sample|entry|example|problem)?_?(?:id|qid|pid|uid|key|index)", re.IGNORECASE)


@dataclass(frozen=True)
class JoinedFiles:
    """A file with questions, and the one with their answers."""

    questions: Path
    answers: Path
    id: str
    """The column that both have."""


@dataclass(frozen=True)
class _Half:
    file: Path
    row: Mapping[str, Any]
    words: frozenset[str]
    splits: frozenset[str]


def pairs_of(files: Sequence[Path], root: Path, opened: Opener, mapping: Columns | None = None) -> list[JoinedFiles]:
    """Files of a source that are halves of each other; each file is in one pair at most."""
    some = [file for file in files if kind_of(file) in _JSON]
    if not 2 <= len(some) <= MOST_FILES:
        return []
    named = mapping.columns if mapping is not None else {}
    asking, answering = list[_Half](), list[_Half]()
    for file in some:
        row = first_row(file, unpacked(opened))
        if row is None or any(row.get(name) is not None for name in _TEXTS):
            continue
        asks = any(_has(row, one) for one in (*QUESTION_COLUMNS, named.get("question")))
        answers = any(_has(row, one) for one in (*GOLD_COLUMNS, named.get("answer")))
        if asks != answers:
            (asking if asks else answering).append(_half(file, root, row))
    found = [pair for half in answering if (pair := _paired(half, asking, named.get("id"))) is not None]
    taken = Counter(pair.questions for pair in found)
    return [pair for pair in found if taken[pair.questions] == 1]


def joined_rows(pair: JoinedFiles, root: Path, opened: Opener) -> Rows:
    """Each question with the columns of its answer, in the order of the questions; a BadRecord for an id without both.

    The answers wait in a file that has no name, so a large set costs no memory.
    """
    questions, answers = (str(file.relative_to(root)) for file in (pair.questions, pair.answers))
    with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as kept:
        kept.execute("PRAGMA journal_mode = OFF")
        kept.execute("CREATE TABLE answers (id TEXT PRIMARY KEY, place TEXT, row TEXT, used INTEGER)")
        for place, row in _rows(pair.answers, answers, opened):
            bad = row if isinstance(row, BadRecord) else _keep(kept, place, row, pair.id)
            if bad is not None:
                yield place, bad
        for place, row in _rows(pair.questions, questions, opened):
            yield place, row if isinstance(row, BadRecord) else _whole(kept, place, row, pair.id, answers)
        for place, name in kept.execute("SELECT place, id FROM answers WHERE used = 0 ORDER BY rowid"):
            yield place, BadRecord(f"{place}: {pair.id} {name[:80]} has no question in {questions}")


def _rows(file: Path, shown: str, opened: Opener) -> Rows:
    """Rows of a file, whose places and problems begin with its path in the source."""
    read = line_rows if kind_of(file) == ".jsonl" else json_rows
    for place, row in read(file, unpacked(opened)):
        bad = isinstance(row, BadRecord)
        yield (
            shown + place.removeprefix(file.name),
            BadRecord(shown + str(row).removeprefix(file.name)) if bad else row,
        )


def _keep(kept: sqlite3.Connection, place: str, row: Any, name: str) -> BadRecord | None:
    """Put an answer aside; what is wrong with it."""
    key = _key(row, name)
    if key is None:
        return BadRecord(f"{place}: {name} is missing, by which answers find their questions")
    values = (key, place, json.dumps(row), 0)
    if kept.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?)", values).rowcount:
        return None
    return BadRecord(f"{place}: {name} {key[:80]} came before: each answer needs an id of its own")


def _whole(kept: sqlite3.Connection, place: str, row: Any, name: str, answers: str) -> Any:
    """A question with its answer's columns, or a BadRecord."""
    key = _key(row, name)
    if key is None:
        return BadRecord(f"{place}: {name} is missing, by which questions find their answers in {answers}")
    found = kept.execute("SELECT row, used FROM answers WHERE id = ?", (key,)).fetchone()
    if found is None:
        return BadRecord(f"{place}: {name} {key[:80]} has no answer in {answers}")
    if found[1]:
        return BadRecord(f"{place}: {name} {key[:80]} came before: each question needs an id of its own")
    kept.execute("UPDATE answers SET used = 1 WHERE id = ?", (key,))
    # The question's own columns are what it says of itself; empty ones say nothing.
    return {**json.loads(found[0]), **{column: value for column, value in row.items() if value is not None}}


def _key(row: Any, name: str) -> str | None:
    """Compared as text, since one file may write 7 and the other "7"."""
    value = column_of(row, name) if isinstance(row, Mapping) else None
    # A surrogate half, which JSON can spell, is not text that a database keeps.
    return str(value).encode(errors="replace").decode() if _is_key(value) else None


def _is_key(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and value != ""


def _has(row: Mapping[str, Any], name: str | None) -> bool:
    return name is not None and column_of(row, name) not in (None, "", [])


def _half(file: Path, root: Path, row: Mapping[str, Any]) -> _Half:
    path = str(file.relative_to(root))
    words = frozenset(re.findall(r"[a-z]+|\d+", path.casefold()))
    splits = frozenset(KNOWN_SPLITS[one] for part in Path(path).parts for one in splits_in(part))
    return _Half(file, row, words, splits)


def _paired(answers: _Half, asking: Sequence[_Half], named: str | None) -> JoinedFiles | None:
    """The file of questions whose name has most in common with that of the answers; None where none or several do."""
    fitting = [
        one for one in asking if _shared_id(one.row, answers.row, named) and not _contradict(one.splits, answers.splits)
    ]
    ranked = sorted(fitting, key=lambda one: _alike(one, answers), reverse=True)
    if not ranked or (len(ranked) > 1 and _alike(ranked[0], answers) == _alike(ranked[1], answers)):
        return None
    return JoinedFiles(ranked[0].file, answers.file, _shared_id(ranked[0].row, answers.row, named))


def _contradict(splits: frozenset[str], others: frozenset[str]) -> bool:
    return bool(splits) and bool(others) and not splits & others


def _alike(one: _Half, other: _Half) -> int:
    return len(one.words & other.words)


def _shared_id(asked: Mapping[str, Any], answered: Mapping[str, Any], named: str | None) -> str:
    """The column of ids that both rows have: the one that is named, else a question's, else the first; or empty."""
    shared = [name for name in asked if _ID.fullmatch(name) and _is_key(asked[name]) and _is_key(answered.get(name))]
    shared.sort(key=lambda name: not name.casefold().startswith("question"))
    if named is not None and all(_is_key(column_of(row, named)) for row in (asked, answered)):
        return named
    return shared[0] if shared else ""
