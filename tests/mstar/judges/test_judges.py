"""Each benchmark's official rule, on the hand-made records and on single points of the rule."""

import json
from pathlib import Path
from typing import Any

import pytest

from mstar.errors import InvalidDataset, InvalidInput
from mstar.judges import BENCHMARKS, Item, benchmark
from mstar.judges.m3cot import named_letter
from mstar.judges.mathvista import edit_distance, normalised
from mstar.judges.mmbench import rotations
from mstar.judges.options import named_option

PAIRS = Path(__file__).parents[2] / "cases" / "benchmarks" / "pairs"
DECLARED = tuple(name for name, one in BENCHMARKS.items() if not one.only_columns)
"""Those with records of their own; the others are groups of these."""


def pairs(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (PAIRS / f"{name}.jsonl").read_text().split("\n") if line]


@pytest.mark.parametrize("name", DECLARED)
def test_every_hand_made_response_gets_the_verdict_of_the_official_rule(name: str) -> None:
    rows, about = pairs(name), BENCHMARKS[name]
    assert len(rows) == 20
    wrong = [
        row["note"]
        for row in rows
        if about.judge(row["response"], about.read(row["record"])).correct is not row["correct"]
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("mathvista", ["Question: Is the red bar higher than the blue bar?", "Choices:", "(A) Yes", "(B) No", "Hint:"]),
        ("m3cot", ["[Question]", "[Choices]", "(A) salty", "(B) fragile"]),
        ("mmstar", ["Question: Where is the pen?", "Options:", "A. on the book", "Please select the correct answer"]),
        ("mmbench", ["Question: Which month had most rain?", "Options:", "A. May", "Please select the correct answer"]),
        ("ai2d", ["Question: What eats the frog?", "Options:", "A. frog", "Please select the correct answer"]),
    ],
)
def test_prompts_have_the_official_parts_in_their_order(name: str, lines: list[str]) -> None:
    about = BENCHMARKS[name]
    text = about.prompt(about.read(pairs(name)[0]["record"]))
    places = [text.index(line) for line in lines]
    assert places == sorted(places)


def test_mathvista_asks_for_the_type_and_the_unit() -> None:
    about = BENCHMARKS["mathvista"]
    prompts = [about.prompt(about.read(row["record"])) for row in pairs("mathvista")]
    assert (
        "(Unit: kg)\nHint: Please answer the question requiring a floating-point number with one decimal" in prompts[14]
    )
    assert "requiring an integer answer" in prompts[9] and "requiring a Python list" in prompts[17]
    assert all(prompt.endswith("\nSolution:") for prompt in prompts)


@pytest.mark.parametrize(
    ("extraction", "kind", "precision", "found"),
    [
        ("(b) 12", "choice", None, "12"),
        ("C", "choice", None, "13"),
        ("elephant", "choice", None, "12"),
        ("4.9", "integer", None, "4"),
        ("four", "integer", None, None),
        ("1.25", "float", 1, "1.2"),
        ("inf", "integer", None, None),
        ("[1, 2]", "list", None, "[1, 2]"),
    ],
)
def test_mathvista_brings_an_extraction_into_its_form(
    extraction: str, kind: str, precision: int | None, found: str | None
) -> None:
    options = ("14", "12", "13") if kind == "choice" else ()
    item = Item(id="1", question="q", gold="A", kind=kind, precision=precision, options=options)
    expected = found if extraction != "elephant" else min(options, key=lambda one: edit_distance(extraction, one))
    assert normalised(extraction, item) == expected


def test_m3cot_takes_the_last_option_and_not_the_last_in_the_text() -> None:
    assert named_letter("salty, then sweet", ("sweet", "salty")) == "B"
    assert named_letter("[Answer] (A) [Rationale] (B)", ("x", "y")) == "A"
    assert named_letter("so it is b", ("xx", "yy")) == "B"
    assert named_letter("nothing", ("xx", "yy")) is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("one two three four B", "B"),
        ("B one two three four", None),
        ("A and B", None),
        ("the answer is **C**, since one two three four", "C"),
        ("I can't process this file.", "Z"),
        ("Z", "Z"),
        ("it must be a dog", "B"),
        ("cat or dog", "B"),
        ("a small cat or a dog", None),
    ],
)
def test_an_option_is_matched_as_vlmevalkit_does(text: str, letter: str | None) -> None:
    assert named_option(text, ("a small cat", "dog", "a horse")) == letter


def test_rotations_put_the_right_option_in_every_place_once() -> None:
    item = Item(id="7", question="q", options=("w", "x", "y", "z"), gold="C", circle="7")
    turned = rotations(item)
    assert sorted(one.gold for one in turned) == ["A", "B", "C", "D"]
    assert {one.options["ABCD".index(one.gold)] for one in turned} == {"y"}
    assert [one.id for one in turned] == ["7", "1000007", "2000007", "3000007"]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("mathvista", {"metadata": {"task": "x"}}, "metadata.task"),
        ("mathvista", {"answer": "", "choices": None, "question_type": "free_form"}, "answer"),
        ("m3cot", {"answer": "F"}, "letter"),
        ("m3cot", {"choices": []}, "options are missing"),
        ("mmstar", {"category": "x"}, "category"),
        ("mmstar", {"question": "no options"}, "options are missing"),
        ("mmbench", {"index": "one"}, "index"),
        ("mmbench", {"l2-category": "x"}, "l2-category"),
        ("ai2d", {"answer": "7"}, "place"),
        ("ai2d", {"question": ""}, "question"),
    ],
)
def test_a_bad_row_names_its_column(name: str, change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidDataset, match=said):
        BENCHMARKS[name].read({**pairs(name)[0]["record"], **change})


def test_the_reasoning_tables_leave_perception_out() -> None:
    items = [BENCHMARKS["mmstar"].read(row["record"]) for row in pairs("mmstar")]
    assert sum(map(BENCHMARKS["mmstar-r"].keeps, items)) == 17
    with pytest.raises(InvalidInput, match="mathvista, m3cot, mmstar-r"):
        benchmark("mmmu")


def test_a_precision_that_is_no_number_is_refused_by_name() -> None:
    row = {"pid": "1", "question": "q", "task": "FQA", "answer_type": "float", "answer": "1.2", "precision": "some"}
    with pytest.raises(InvalidDataset, match="precision 'some'"):
        benchmark("mathvista").read(row)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("A: x, B: y", ("x", "y")),
        ("A. one, or two\nB. three,\n\nC. A. Milne", ("one, or two", "three", "A. Milne")),
        ("A:x" + "\n, " * 20_000 + "y, B: z", ("x" + "\n," * 20_000 + " y", "z")),
    ],
)
def test_options_in_a_question_are_read_in_bounded_time(text: str, options: tuple[str, ...]) -> None:
    row = {"question": f"q\nOptions: {text}", "category": "math", "answer": "A"}
    assert BENCHMARKS["mmstar"].read(row).options == options
