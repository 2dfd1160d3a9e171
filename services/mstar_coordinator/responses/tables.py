"""The index of a run's responses: one SQLite file, which can be removed at any time and is then made anew.

It stands beside the database and not in it: 720,000 responses are a hundred times all that the database holds, none of
it decides anything, and it goes with its run.

Keys say where a row belongs, so that a link to a page stays right when the index is made anew: a question's key is its
iteration and its place there, a response's that of its question and its place among the n.
"""

import sqlite3
from pathlib import Path

VERSION = 3
"""Grows with every change of the tables: a file of another version is made anew."""
PLACE_BITS = 32
INDEX_BITS = 10
"""Enough for `MAX_SAMPLES` responses to a question."""
NO_SCORE_LOW, NO_SCORE_HIGH = -1.0, 2.0
"""Stand for a missing least or greatest score, so that questions without one come last in either order."""
BUSY_SECONDS = 10.0

SORTED_BY = ("share", "best", "lowest", "fooled")
_TABLES = """
CREATE TABLE shards (
    name TEXT PRIMARY KEY, iteration INTEGER NOT NULL, rollouts TEXT NOT NULL, selection TEXT
) WITHOUT ROWID;
CREATE TABLE questions (
    key INTEGER PRIMARY KEY, iteration INTEGER NOT NULL, name TEXT NOT NULL, grp TEXT NOT NULL,
    temperature REAL NOT NULL, n INTEGER NOT NULL, correct INTEGER NOT NULL, kept INTEGER NOT NULL,
    share REAL NOT NULL, best REAL NOT NULL, lowest REAL NOT NULL, fooled REAL NOT NULL
);
CREATE TABLE responses (
    key INTEGER PRIMARY KEY, correct INTEGER NOT NULL, kept INTEGER NOT NULL, reward REAL
);
CREATE TABLE texts (key INTEGER PRIMARY KEY, packed BLOB NOT NULL);
CREATE TABLE images (digest TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE facets (
    iteration INTEGER NOT NULL, grp TEXT NOT NULL, temperature REAL NOT NULL, questions INTEGER NOT NULL,
    responses INTEGER NOT NULL, PRIMARY KEY (iteration, grp, temperature)
) WITHOUT ROWID;
CREATE TABLE stages (name TEXT PRIMARY KEY, done INTEGER NOT NULL, last REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE expected (iteration INTEGER PRIMARY KEY, shards INTEGER NOT NULL);
CREATE TABLE progress (event INTEGER NOT NULL, problem TEXT);
INSERT INTO progress VALUES (-1, NULL);
CREATE INDEX questions_by_name ON questions (name, key);
CREATE INDEX questions_by_group ON questions (grp, iteration, key);
-- Without positions and lengths, which only phrases and ranking would need: a fifth of the size.
CREATE VIRTUAL TABLE words USING fts5(text, content='', detail=none, columnsize=0);
CREATE VIRTUAL TABLE asked USING fts5(text, content='', detail=none, columnsize=0);
"""


def question_key(iteration: int, place: int) -> int:
    """Key of a question: grows with the iteration, and in it with the place."""
    return iteration << PLACE_BITS | place


def response_key(question: int, index: int) -> int:
    """Key of a response to the question with that key."""
    return question << INDEX_BITS | index


def placed(key: int) -> tuple[int, int]:
    """(iteration, place) of a question's key."""
    return key >> PLACE_BITS, key & ((1 << PLACE_BITS) - 1)


def open_for_writing(path: Path) -> sqlite3.Connection:
    """The index, made anew where there is none or one of another version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = _connected(path)
    if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        connection.close()
        remove(path)
        connection = _connected(path)
        orders = "".join(
            f"CREATE INDEX questions_by_{one} ON questions (iteration, {one}, key);"
            f"CREATE INDEX all_questions_by_{one} ON questions ({one}, key);"
            for one in SORTED_BY
        )
        # The version comes last: a file that a crash has left half made has none, and is made anew.
        connection.executescript(f"{_TABLES}{orders}PRAGMA user_version = {VERSION};")
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection | None:
    """The index as it is now, or None where there is none of this version."""
    if not path.is_file():
        return None
    # Quoted as a URI: the home may be called anything.
    source = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(source, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        connection.close()
        return None
    return connection


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is not a whole database, which a power cut may leave of it."""
    # The low byte is the code itself; errors of the module have none.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def remove(path: Path) -> None:
    """Remove an index, and what SQLite keeps beside it."""
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    # A power cut may take the last rows or all of it: it is made anew from the artefacts.
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000;")
    return connection
