"""Translates the words of a search into queries of SQLite's full-text index.

The index looks up a word in one response at once, but of a word's beginning it first joins the lists of all words that
begin so, at every look: 300 ms of 720,000 responses. So a beginning is replaced by its words, which are few.
"""

import re
import sqlite3
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from mstar.api.responses import WORDS
from mstar.errors import InvalidInput

MOST = 256
"""Words that one beginning may stand for."""
_WORD = re.compile(r"[^\W_]+\*?")


@dataclass(frozen=True)
class WordQueries:
    """What wants all words of a search; both are empty without any."""

    responses: str = ""
    questions: str = ""


def word_queries(connection: sqlite3.Connection, text: str | None) -> WordQueries:
    """Raises InvalidInput for a beginning of too many words."""
    # Only letters and digits pass, in quotation marks, so that nothing is read as FTS5's query language.
    found = _WORD.findall(unicodedata.normalize("NFC", text or ""))[:WORDS]
    named = [f'"{word.rstrip("*")}"{"*" * word.endswith("*")}' for word in found]
    whole = (_any_of(connection, word[:-1]) if word.endswith("*") else f'"{word}"' for word in found)
    return WordQueries(" AND ".join(whole), " AND ".join(named))


def _any_of(connection: sqlite3.Connection, beginning: str) -> str:
    words: list[str] = []
    for word in _beginning_with(connection, _folded(connection, beginning)):
        if len(words) == MOST:
            detail = f"text: more than {MOST} words begin with {beginning[:64]!r}: write more of it"
            raise InvalidInput(detail, field="text")
        words.append(f'"{word}"')
    # Of no word the index makes short work.
    return f"({' OR '.join(words)})" if words else f'"{beginning}"*'


def _folded(connection: sqlite3.Connection, word: str) -> str:
    """The word as the index spells it, in lower case and without accents: only its own tokenizer knows how."""
    connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.folding USING fts5(text, content='', detail=none)")
    connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.folded USING fts5vocab('temp', 'folding', 'row')")
    connection.execute("INSERT INTO temp.folding(folding) VALUES ('delete-all')")
    connection.execute("INSERT INTO temp.folding(rowid, text) VALUES (1, ?)", (word,))
    found = connection.execute("SELECT term FROM temp.folded LIMIT 1").fetchone()
    return word if found is None else str(found[0])


def _beginning_with(connection: sqlite3.Connection, beginning: str) -> Iterator[str]:
    """Words of the index in order. Each is sought by itself: a list of words with their counts reads all their rows."""
    connection.execute(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab('main', 'words', 'instance')"
    )
    least = beginning
    while True:
        found = connection.execute("SELECT term FROM temp.vocabulary WHERE term >= ? LIMIT 1", (least,)).fetchone()
        if found is None or not found[0].startswith(beginning):
            return
        yield found[0]
        # The next text after it, since what the index seeks begins with this text or comes after.
        least = f"{found[0]}\0"
