"""Problems of one kind are shown a few times and counted, so that others are seen."""

from mstar.alike import EACH, MOST_KINDS, gather, listed


def shown(problems: list[str], most: int = 20) -> list[str]:
    first: list[str] = []
    kinds: dict[str, int] = {}
    for problem in problems:
        gather(problem, first, kinds, most)
    return listed(first, kinds, len(problems))


def test_many_of_one_kind_leave_room_for_another() -> None:
    many = [f"train/{place}.jsonl line {place}: the image pictures/{place}.gif is no PNG" for place in range(500)]
    lines = shown([*many, "train.jsonl line 501: answer 'x y' is no integer", "a line 7: answer '-' is no integer"])
    assert lines[:EACH] == many[:EACH] and lines[EACH] == "  and 497 more like that"
    assert lines[EACH + 1 :] == [
        "train.jsonl line 501: answer 'x y' is no integer",
        "a line 7: answer '-' is no integer",
    ]


def test_few_are_listed_as_they_are() -> None:
    problems = ["a.json record 1: question is empty", "a.json record 2: question is empty", "b.zip is damaged"]
    assert shown(problems) == problems


def test_kinds_without_room_are_counted_together() -> None:
    kinds = [f"{chr(97 + a)}{chr(97 + b)}" for a in range(26) for b in range(26)] * 2
    lines = shown(kinds, most=5)
    assert [line for line in lines if "like that" in line] == ["  and 1 more like that"] * 5
    assert lines[-1] == f"and {len(kinds) - 10:,} more"
    words = ["".join(chr(97 + int(digit)) for digit in str(place)) for place in range(MOST_KINDS + 50)]
    assert shown(words, most=2)[-1] == f"and {MOST_KINDS + 48:,} more"
