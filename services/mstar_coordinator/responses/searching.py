"""Finds questions by what their responses are like: filters, orders and pages over a run's index.

Pages are cut at a key and never by counting, so the last one costs what the first does. What could take long, such as a
word that every response has beside a rare verdict, ends at a deadline.
"""

import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mstar.api.responses import FoundQuestion, ResponseFilter, ResponseQuery, ResponseSort
from mstar.errors import InvalidInput, Unavailable
from mstar_coordinator.responses.tables import INDEX_BITS, PLACE_BITS, question_key
from mstar_coordinator.responses.words import WordQueries, word_queries

DEADLINE_SECONDS = 5.0
"""Of one search; what takes longer holds a core that runs need."""
OPERATIONS = 100_000
"""Of SQLite's machine between two looks at the clock: about a millisecond."""
RARE = 20_000
"""Responses with a word up to which they are listed first; commoner words are looked up response by response."""
_ORDER = {
    ResponseSort.PLACE: ("q.key", "ASC"),
    ResponseSort.HARDEST: ("q.share", "ASC"),
    ResponseSort.EASIEST: ("q.share", "DESC"),
    ResponseSort.BEST: ("q.best", "DESC"),
    ResponseSort.LOWEST: ("q.lowest", "ASC"),
    ResponseSort.FOOLED: ("q.fooled", "DESC"),
}


@dataclass(frozen=True)
class Facet:
    """Questions of one group at one temperature in one iteration."""

    iteration: int
    group: str
    temperature: float
    questions: int
    responses: int


@dataclass
class _Conditions:
    """Parts of a WHERE clause, with their values in order."""

    texts: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, text: str, *values: Any) -> None:
        self.texts.append(text)
        self.values.extend(values)

    def joined(self) -> str:
        return " AND ".join(self.texts) or "1"


def search(connection: sqlite3.Connection, query: ResponseQuery) -> list[FoundQuestion]:
    """Up to `limit` + 1 questions in order, each with all its responses. Raises Unavailable when it takes too long."""
    with _bounded(connection):
        asked = word_queries(connection, query.text)
        common, words = _note_hits(connection, asked), asked.responses
        value, way = _ORDER[query.sort]
        where = _of_question(query)
        if query.of_responses:
            _add_responses(where, query, words, common)
        if query.after:
            more = ">" if way == "ASC" else "<"
            # A comparison of rows, which SQLite answers from the index on both columns.
            where.add(f"({value}, q.key) {more} (?, ?)", *_place(query.after))
        found = connection.execute(
            f"SELECT q.key, {value} FROM questions q WHERE {where.joined()} "  # noqa: S608 - our own texts
            f"ORDER BY {value} {way}, q.key {way} LIMIT ?",
            (*where.values, query.limit + 1),
        ).fetchall()
        return [_question(connection, query, words, key, f"{at!r}:{key}") for key, at in found]


def _place(cursor: str) -> tuple[int | float, int]:
    """What a cursor is made of: the value that questions are sorted by, and the question's key. Raises InvalidInput."""
    at, _, key = cursor.partition(":")
    try:
        # A small score is written without a point: 1e-05.
        value = float(at) if "." in at or "e" in at else int(at)
        number = int(key)
    except ValueError:
        raise InvalidInput("after: send `last_id` of the page before", field="after") from None
    # SQLite's integers have 64 bits.
    if max(abs(value), number) >= 2**63:
        raise InvalidInput("after: send `last_id` of the page before", field="after")
    return value, number


def facets(connection: sqlite3.Connection) -> list[Facet]:
    """What there is to choose from, in order."""
    order = "SELECT * FROM facets ORDER BY iteration, grp, temperature"
    return [Facet(*row) for row in connection.execute(order)]


def has_image(connection: sqlite3.Connection, digest: str) -> bool:
    """Whether a question of the run shows this image."""
    return connection.execute("SELECT 1 FROM images WHERE digest = ?", (digest,)).fetchone() is not None


@contextmanager
def _bounded(connection: sqlite3.Connection) -> Iterator[None]:
    end = time.monotonic() + DEADLINE_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > end, OPERATIONS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        detail = f"the search took longer than {DEADLINE_SECONDS:g} s: choose an iteration, or a rarer word"
        raise Unavailable(detail, retry_after=1.0) from None
    finally:
        connection.set_progress_handler(None, 0)


def _note_hits(connection: sqlite3.Connection, asked: WordQueries) -> bool:
    """List what has the words in a table of this connection, unless that is much; whether it is."""
    if not asked.responses:
        return False
    for name in ("hits", "asking"):
        connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {name} (key INTEGER PRIMARY KEY)")
        connection.execute(f"DELETE FROM {name}")  # noqa: S608
    listed = "INSERT OR IGNORE INTO hits SELECT rowid FROM words WHERE words MATCH ? LIMIT ?"
    # One more than is listed says that the word is common.
    rows = connection.execute(listed, (asked.responses, RARE + 1)).rowcount
    connection.execute("INSERT INTO asking SELECT rowid FROM asked WHERE asked MATCH ?", (asked.questions,))
    return rows > RARE


def _of_question(query: ResponseQuery) -> _Conditions:
    """What a question must be like; for its responses only what the question's own row can say quickly."""
    where = _Conditions()
    if query.iteration is not None and query.sort is ResponseSort.PLACE:
        # Their keys stand together, in the order that is wanted.
        first = question_key(query.iteration, 0)
        where.add("q.key BETWEEN ? AND ?", first, first + (1 << PLACE_BITS) - 1)
    elif query.iteration is not None:
        where.add("q.iteration = ?", query.iteration)
    if query.question is not None:
        where.add("q.name = ?", query.question)
    if query.group is not None:
        where.add("q.grp = ?", query.group)
    if query.temperature is not None:
        # A number in an address may have lost its last bit.
        where.add("q.temperature BETWEEN ? AND ?", query.temperature - 1e-9, query.temperature + 1e-9)
    if query.verdict is not None:
        where.add("q.correct > 0" if query.verdict == "correct" else "q.correct < q.n")
    if query.kept is not None:
        where.add("q.kept > 0" if query.kept else "q.kept < q.n")
    if query.min_score is not None:
        column = "q.fooled" if query.verdict == "wrong" else "q.best"
        where.add(f"{column} >= ?", query.min_score)
    if query.max_score is not None:
        where.add("q.lowest <= ?", query.max_score)
    return where


def _of_response(query: ResponseFilter) -> _Conditions:
    """What one response must be like, its words left out."""
    where = _Conditions()
    if query.verdict is not None:
        where.add("r.correct = ?", query.verdict == "correct")
    if query.kept is not None:
        where.add("r.kept = ?", query.kept)
    if query.min_score is not None:
        where.add("r.reward >= ?", query.min_score)
    if query.max_score is not None:
        where.add("r.reward <= ?", query.max_score)
    return where


def _add_responses(where: _Conditions, query: ResponseFilter, words: str, common: bool) -> None:
    """One response must meet all conditions at once; with a single one, the question's own row has said it."""
    wanted = _of_response(query)
    if query.text is not None and not words:
        where.add("0")  # marks only, which no response has as a word
    if words and common:
        has = "EXISTS (SELECT 1 FROM words WHERE words MATCH ? AND rowid = r.key)"
        wanted.add(f"(q.key IN asking OR {has})", words)
    elif words:
        named = f"SELECT key >> {INDEX_BITS} FROM hits UNION SELECT key FROM asking"  # noqa: S608
        where.add(f"q.key IN ({named})")
        wanted.add("(q.key IN asking OR r.key IN hits)")
    if len(wanted.texts) < 2 and not words:
        return
    last = (1 << INDEX_BITS) - 1
    # Keys of a question's responses follow each other, so this is a short range of the primary key.
    own = f"r.key BETWEEN q.key << {INDEX_BITS} AND (q.key << {INDEX_BITS}) + {last}"
    where.add(f"EXISTS (SELECT 1 FROM responses r WHERE {own} AND {wanted.joined()})", *wanted.values)  # noqa: S608


def _question(connection: sqlite3.Connection, query: ResponseQuery, words: str, key: int, cursor: str) -> FoundQuestion:
    """The question as it was packed, its responses marked with whether they meet the filter."""
    packed = connection.execute("SELECT packed FROM texts WHERE key = ?", (key,)).fetchone()[0]
    found = FoundQuestion.model_validate_json(zlib.decompress(packed))
    meets = _meeting(connection, query, words, key) if query.of_responses else None
    responses = tuple(
        one if meets is None or one.index in meets else one.model_copy(update={"found": False})
        for one in found.responses
    )
    return found.model_copy(update={"cursor": cursor, "responses": responses})


def _meeting(connection: sqlite3.Connection, query: ResponseFilter, words: str, key: int) -> set[int]:
    """Places of the question's responses that the filter means."""
    first, last = key << INDEX_BITS, (key << INDEX_BITS) + (1 << INDEX_BITS) - 1
    wanted = _of_response(query)
    found = connection.execute(
        f"SELECT r.key FROM responses r WHERE r.key BETWEEN ? AND ? AND {wanted.joined()}",  # noqa: S608
        (first, last, *wanted.values),
    )
    keys = {row[0] for row in found}
    if words and connection.execute("SELECT 1 FROM asking WHERE key = ?", (key,)).fetchone() is None:
        has = "SELECT rowid FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ?"
        keys &= {row[0] for row in connection.execute(has, (words, first, last))}
    return {one - first for one in keys}
