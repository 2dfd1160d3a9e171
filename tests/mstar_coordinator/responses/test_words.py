"""A word's beginning stands for the words of the index that begin so, as the index spells them."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.errors import InvalidInput
from mstar_coordinator.responses.tables import open_for_reading, open_for_writing
from mstar_coordinator.responses.words import MOST, WordQueries, word_queries

TEXTS = ("Angle angles, AXIS", "Ängste und Axiome", "the angler's axes", "多边形 多角形", "x1 x12 x2", "öl Öle", "")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("words") / "i.sqlite"
    writing = open_for_writing(path)
    writing.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", enumerate(TEXTS))
    many = " ".join(f"t{number}" for number in range(MOST + 1))
    writing.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (len(TEXTS), many))
    reading = open_for_reading(path)
    assert reading is not None
    yield reading
    reading.close()
    writing.close()


def found(index: sqlite3.Connection, query: str) -> set[int]:
    return {row[0] for row in index.execute("SELECT rowid FROM words WHERE words MATCH ?", (query,))}


def test_a_beginning_is_spelt_out(index: sqlite3.Connection) -> None:
    queries = word_queries(index, "Äng* axis")
    assert queries.responses == '("angle" OR "angler" OR "angles" OR "angste") AND "axis"'
    assert queries.questions == '"Äng"* AND "axis"'
    assert word_queries(index, None) == word_queries(index, "'* -") == WordQueries()
    assert found(index, word_queries(index, "absent*").responses) == set()


@given(st.text(alphabet="aAäÄnNgGxX12öÖlLe多边s*", min_size=1, max_size=5))
def test_it_finds_what_the_index_finds_by_itself(index: sqlite3.Connection, text: str) -> None:
    queries = word_queries(index, f"{text}*")
    if queries.responses:
        assert found(index, queries.responses) == found(index, queries.questions)


def test_a_beginning_of_too_many_words_is_refused(index: sqlite3.Connection) -> None:
    with pytest.raises(InvalidInput, match="more than 256 words begin with 't'") as refused:
        word_queries(index, "t*")
    assert refused.value.field == "text"
    assert found(index, word_queries(index, "t25*").responses) == {len(TEXTS)}
