"""What the end of a careful attempt says about the question in hand: the search always ends, and blames few."""

from hypothesis import given
from hypothesis import strategies as st

from mstar.poison import MOST_QUARANTINED, MOST_SUSPECTS, Suspicion, judge


def test_a_question_is_suspected_first_and_quarantined_when_it_ends_an_attempt_again() -> None:
    assert judge("q", (), 0) is Suspicion.SUSPECT
    assert judge("q", ("q",), 0) is Suspicion.QUARANTINE


def test_where_no_question_of_several_succeeds_none_is_at_fault() -> None:
    assert judge("q", ("q", "p"), 0, done=0, total=2) is Suspicion.NOTHING
    assert judge("q", ("q", "p"), 0, done=1, total=2) is Suspicion.QUARANTINE
    assert judge("q", ("q",), 0, done=0, total=1) is Suspicion.QUARANTINE, "there is no other to tell it from"


def test_an_attempt_that_named_no_question_says_nothing() -> None:
    assert judge(None, ("q",), 0) is Suspicion.NOTHING


def test_only_some_questions_of_a_shard_are_ever_blamed() -> None:
    assert judge("q", ("q",), MOST_QUARANTINED) is Suspicion.NOTHING
    assert judge("q", [f"s{i}" for i in range(MOST_SUSPECTS)], 0) is Suspicion.NOTHING


@given(st.lists(st.integers(0, 12), max_size=80))
def test_whatever_ends_the_attempts_the_search_comes_to_an_end(ends: list[int]) -> None:
    suspects: list[str] = []
    quarantined: list[str] = []
    forward = 0
    for end in ends:
        question = f"q{end}"
        if question in quarantined:
            continue
        verdict = judge(question, suspects, len(quarantined))
        forward += verdict is not Suspicion.NOTHING
        if verdict is Suspicion.SUSPECT:
            suspects.append(question)
        elif verdict is Suspicion.QUARANTINE:
            suspects.remove(question)
            quarantined.append(question)
    assert len(quarantined) <= MOST_QUARANTINED
    assert forward <= MOST_SUSPECTS + 2 * MOST_QUARANTINED
