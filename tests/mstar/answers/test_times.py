"""Dates and times of day, in every way in which they are read."""

import pytest

from mstar.answers.times import same_moment


@pytest.mark.parametrize(
    ("said", "gold"),
    [
        ("2021-03-05", "2021/03/05"),
        ("March 5, 2021", "5 Mar 2021"),
        ("5. MARCH 2021", "Mar 5 2021"),
        ("the 5th of March, 2021", "Friday, 5 March 2021"),
        ("1/8/93", "01/08/1993"),
        ("Sep. 2020", "September, 2020"),
        ("May 29th", "29 may"),
        ("February 29", "29 Feb"),
        ("noon", "12 PM"),
        ("Midnight", "0:00"),
        ("midday", "12:00 noon"),
        ("3 p.m.", "15:00"),
        ("3.30 pm", "15:30:00"),
        ("7 in the\nmorning", "7 am"),
        ("7:15 in the evening", "19:15"),
        ("14:00 gmt", "14:00Z"),
        ("10 minutes past 10", "10:10"),
        ("15 minutes to five", "4:45"),
        ("4h45", "4:45"),
        ("At 9:30 am", "9:30 a.m."),
    ],
)
def test_one_moment_in_two_spellings(said: str, gold: str) -> None:
    assert same_moment(said, gold)
    assert same_moment(gold, said)


@pytest.mark.parametrize(
    ("said", "gold"),
    [
        ("May", "may"),
        ("5", "5"),
        ("10:30", "10:30 pm"),
        ("noon", "midnight"),
        ("12 cm", "12:00"),
        ("July 4", "4 June"),
        ("ten to ten", "10:10"),
    ],
)
def test_what_is_no_moment_or_another_one(said: str, gold: str) -> None:
    assert not same_moment(said, gold)
    assert not same_moment(gold, said)
