"""A search finds what a look at every response would find, in its order, and pages join without a gap."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from example_rows import rollout
from mstar.api.responses import FoundQuestion, FoundResponse, ResponseQuery, ResponseSort
from mstar.errors import InvalidInput, Unavailable
from mstar.reward import RewardRule
from mstar.selection import select
from mstar.selection_rules import SelectionRecipe
from mstar.types import RolloutRow, ScoreRow, StepScores
from mstar_artefacts.store import ROWS, SCORES, ArtefactStore
from mstar_coordinator.responses import searching
from mstar_coordinator.responses.filling import NOT_YET, Shard, fill
from mstar_coordinator.responses.searching import facets, has_image, search
from mstar_coordinator.responses.tables import open_for_reading, open_for_writing

TOP = SelectionRecipe(k=1)
SUBJECTS = ("red circle", "blue square", "two circles and a triangle", "nothing of the kind")


def row_of(number: int) -> RolloutRow:
    """Four responses, of which `number` says in binary which are right."""
    right = [bool(number >> bit & 1) for bit in range(4)]
    texts = [f"We see a {SUBJECTS[(number + bit) % 4]} .\n\nSo {bit}\n\n## Answer\n\n{42 + bit}" for bit in range(4)]
    group, temperature = ("FQA", "GPS")[number % 2], (0.5, 1.0)[number // 8 % 2]
    return rollout(right, texts=texts, name=f"q{number}", group=group, temperature=temperature)


def scores_of(row: RolloutRow, number: int) -> ScoreRow:
    """Every response but the last has two scored steps."""
    scored = [
        StepScores(index=place, steps=("a", "b"), scores=((number * 7 + place * 3) % 11 / 10, 1.0))
        for place in range(3)
    ]
    return ScoreRow(question_id=row.question.id, prm_version="p", responses=tuple(scored))


def shard(store: ArtefactStore, iteration: int, numbers: range, *, selected: bool = True) -> Shard:
    rows = [row_of(number) for number in numbers]
    scores = [scores_of(row, number) for row, number in zip(rows, numbers, strict=True)]
    name = f"it{iteration:02d}/generate/{numbers.start:04d}"
    kept = [
        one
        for row, score in zip(rows, scores, strict=True)
        for one in select(row, score, SelectionRecipe(k=1, mode="random", min_steps=0), iteration=iteration, seed=1)
    ]
    rollouts = store.write_rows(f"r/{name}", rows, {})
    made = store.write_tables(f"r/{name}-selected", {ROWS: kept, SCORES: scores}, {}) if selected else None
    return Shard(name, iteration, numbers.start, rollouts, made, TOP)


def test_an_index_is_found_in_a_folder_of_any_name(tmp_path: Path) -> None:
    path = tmp_path / "rüns 1?mode=rwc%41#x" / "index"
    path.parent.mkdir()
    open_for_writing(path).close()
    found = open_for_reading(path)
    assert found is not None
    found.close()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    home = tmp_path_factory.mktemp("index")
    store, writing = ArtefactStore(home), open_for_writing(home / "i.sqlite")
    for iteration in (1, 2):
        for numbers in (range(0, 8), range(8, 16)):
            fill(writing, store, shard(store, iteration, numbers), RewardRule())
    reading = open_for_reading(home / "i.sqlite")
    assert reading is not None
    yield reading
    reading.close()
    writing.close()


def every(index: sqlite3.Connection, query: ResponseQuery) -> list[FoundQuestion]:
    """All that a query finds, over as many pages as it takes."""
    found: list[FoundQuestion] = []
    while True:
        page = search(index, query)
        found += page[: query.limit]
        if len(page) <= query.limit:
            return found
        query = query.model_copy(update={"after": found[-1].cursor})


def meets(query: ResponseQuery, question: FoundQuestion, one: FoundResponse) -> bool:
    """The same filter, written as one would say it."""
    words = (query.text or "").replace("*", "").split()
    in_words = all(
        any(token.startswith(word) if "*" in (query.text or "") else token == word for token in one.text.split())
        for word in words
    )
    return (
        (query.iteration is None or question.iteration == query.iteration)
        and (query.group is None or question.question.group == query.group)
        and (query.temperature is None or question.temperature == query.temperature)
        and (query.verdict is None or one.correct == (query.verdict == "correct"))
        and (query.kept is None or one.kept == query.kept)
        and (query.min_score is None or (one.reward is not None and one.reward >= query.min_score))
        and (query.max_score is None or (one.reward is not None and one.reward <= query.max_score))
        and in_words
    )


queries = st.builds(
    ResponseQuery,
    iteration=st.sampled_from([None, 1, 2]),
    group=st.sampled_from([None, "FQA", "none"]),
    temperature=st.sampled_from([None, 0.5]),
    verdict=st.sampled_from([None, "correct", "wrong"]),
    kept=st.sampled_from([None, True, False]),
    min_score=st.sampled_from([None, 0.0, 0.5, 0.9]),
    max_score=st.sampled_from([None, 0.2, 0.6]),
    text=st.sampled_from([None, "circle", "circle*", "two triangle", "blue", "absent"]),
    sort=st.sampled_from(list(ResponseSort)),
    limit=st.sampled_from([1, 3, 100]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=queries, rare=st.sampled_from([0, 20_000]))
def test_a_filter_means_what_a_look_at_each_response_says(
    index: sqlite3.Connection, query: ResponseQuery, rare: int
) -> None:
    before, searching.RARE = searching.RARE, rare
    try:
        found = every(index, query)
    finally:
        searching.RARE = before
    wanted = {
        (question.iteration, question.place): {one.index for one in question.responses if meets(query, question, one)}
        for question in every(index, ResponseQuery(limit=100))
    }
    places = [(one.iteration, one.place) for one in found]
    assert len(places) == len(set(places)) and set(places) == {place for place, meant in wanted.items() if meant}
    for one in found:
        assert {r.index for r in one.responses if r.found} == wanted[(one.iteration, one.place)]
    values = [sorted_by(query.sort, one) for one in found]
    assert values == sorted(values)


def sorted_by(sort: ResponseSort, one: FoundQuestion) -> tuple[float, ...]:
    scores = [r.reward for r in one.responses if r.reward is not None]
    wrong = [r.reward for r in one.responses if r.reward is not None and not r.correct]
    share = sum(r.correct for r in one.responses) / len(one.responses)
    place = (float(one.iteration), float(one.place))
    rising = {
        ResponseSort.PLACE: place,
        ResponseSort.HARDEST: (share, *place),
        ResponseSort.LOWEST: (min(scores, default=2.0), *place),
    }
    falling = {
        ResponseSort.EASIEST: (share, *place),
        ResponseSort.BEST: (max(scores, default=-1.0), *place),
        ResponseSort.FOOLED: (max(wrong, default=-1.0), *place),
    }
    return rising[sort] if sort in rising else tuple(-value for value in falling[sort])


def test_one_question_is_followed_over_the_iterations(index: sqlite3.Connection) -> None:
    found = search(index, ResponseQuery(question="q3"))
    assert [(one.iteration, one.place) for one in found] == [(1, 3), (2, 3)]


def test_a_response_says_why_it_was_kept_or_left_out(index: sqlite3.Connection) -> None:
    (question,) = search(index, ResponseQuery(question="q3", iteration=1))
    why = {one.index: (one.kept, one.why) for one in question.responses}
    assert sorted(kept for kept, _ in why.values()) == [False, False, False, True]
    assert [reason for kept, reason in why.values() if kept] == ["random-1 of 2 correct"]
    assert why[2] == why[3] == (False, "wrong")
    assert [one.reward for one in question.responses][-1] is None, "the best first, those without a score last"


def test_words_are_taken_as_words_and_not_as_a_language(index: sqlite3.Connection) -> None:
    for text in ('"', "circle OR blue", "NEAR(a b)", "text:circle", "*", "a-b", "' --", "^circle", "\u0000x"):
        assert isinstance(search(index, ResponseQuery(text=text)), list)
    assert search(index, ResponseQuery(text="???")) == []
    assert len(search(index, ResponseQuery(text="CIRCLE", limit=100))) == 32
    assert len(search(index, ResponseQuery(text="q3"))) == 2, "an id is found as the question's own words are"


def test_what_there_is_to_choose_from(index: sqlite3.Connection) -> None:
    there = facets(index)
    assert {(one.iteration, one.group, one.temperature) for one in there} == {
        (iteration, group, t) for iteration in (1, 2) for group in ("FQA", "GPS") for t in (0.5, 1.0)
    }
    assert sum(one.questions for one in there) == 32 and sum(one.responses for one in there) == 128
    assert has_image(index, "0" * 64) and not has_image(index, "1" * 64)


def test_a_search_that_takes_too_long_ends(index: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "DEADLINE_SECONDS", -1.0)
    monkeypatch.setattr(searching, "OPERATIONS", 1)
    with pytest.raises(Unavailable, match="took longer"):
        search(index, ResponseQuery())


def test_a_shard_is_completed_when_its_selection_is_there(tmp_path: Path) -> None:
    store, index = ArtefactStore(tmp_path), open_for_writing(tmp_path / "i.sqlite")
    fill(index, store, shard(store, 1, range(3, 4), selected=False), RewardRule())
    (before,) = search(index, ResponseQuery())
    assert {one.why for one in before.responses} == {NOT_YET} and not any(one.scores for one in before.responses)
    fill(index, store, shard(store, 1, range(3, 4)), RewardRule())
    (after,) = search(index, ResponseQuery(text="circle*"))
    assert sum(one.kept for one in after.responses) == 1 and any(one.scores for one in after.responses)
    assert sum(one.responses for one in facets(index)) == 4, "counted once"
    index.close()


def test_a_question_has_its_reference_also_where_only_the_row_knows_it(tmp_path: Path) -> None:
    store, index = ArtefactStore(tmp_path), open_for_writing(tmp_path / "i.sqlite")
    own = row_of(3)
    bare = own.question.model_copy(update={"answer": None, "id": "mathvista/7"})
    published = own.model_copy(update={"question": bare, "reference": "(B) pelican"})
    ref = store.write_rows("r/mathvista/generate/0000", [own, published], {})
    fill(index, store, Shard("mathvista/generate/0000", 0, 0, ref, None, None), RewardRule())
    assert own.question.answer is not None
    assert [one.reference for one in search(index, ResponseQuery())] == [own.question.answer.value, "(B) pelican"]
    assert [one.question.answer for one in search(index, ResponseQuery(question="mathvista/7"))] == [None]
    index.close()


def test_an_index_of_another_version_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "i.sqlite"
    index = open_for_writing(path)
    index.executescript("PRAGMA user_version = 99; INSERT INTO images VALUES ('x')")
    index.close()
    assert open_for_reading(path) is None
    assert not has_image(open_for_writing(path), "x")


@pytest.mark.parametrize("cursor", ["e:0", "-8e5042:5", "1.2.3:1", "9" * 20 + ":1", "1:" + "9" * 20])
def test_a_cursor_of_no_page_is_refused(index: sqlite3.Connection, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="last_id"):
        search(index, ResponseQuery(after=cursor))


def test_a_cursor_with_a_tiny_score_is_a_cursor(index: sqlite3.Connection) -> None:
    search(index, ResponseQuery(after="1e-05:1", sort=ResponseSort.LOWEST))
