"""The answer check: a table of traps, and properties."""

import threading
import time
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.answers import AnswerRule, answer_of, check
from mstar.answers.sentences import answer_in_sentence
from mstar.answers.units import factor, same_unit
from mstar.errors import InvalidDataset
from mstar.types import Answer, AnswerType

COLOURS = ("red", "blue", "dark blue")


def answer(kind: str, value: str, precision: int | None = None, unit: str | None = None) -> Answer:
    choices = COLOURS if kind == "choice" else ()
    return Answer(type=AnswerType(kind), value=value, precision=precision, unit=unit, choices=choices)


def says(text: str) -> str:
    return f"Some step.\n\n## Answer\n\n{text}"


@pytest.mark.parametrize(
    ("said", "correct"),
    [
        *((said, True) for said in ("A", "Ff", "(A) Ff", "**Ff**")),
        *((said, False) for said in ("B", "C", "ff", "FF", "fF", "(A) ff", "(B) Ff", "Ff or ff")),
    ],
)
def test_case_tells_options_apart_that_differ_in_nothing_else(said: str, correct: bool) -> None:
    gold = Answer(type=AnswerType.CHOICE, value="A", choices=("Ff", "ff", "FF"))
    assert check(says(said), gold).correct is correct
    both = Answer(type=AnswerType.CHOICE, value="A, C", choices=("Ff", "ff", "FF"))
    assert check(says("Ff and FF"), both).correct and not check(says("Ff and ff"), both).correct


def test_a_reference_in_its_own_case_is_the_option_of_that_case() -> None:
    for place, said in enumerate(("Ff", "ff", "FF")):
        assert answer_of({"answer": said, "choices": ["Ff", "ff", "FF"]}).value == "ABC"[place]
    assert answer_of({"answer": ["FF", "ff"], "choices": ["Ff", "ff", "FF"]}).value == "B, C"


@pytest.mark.parametrize("said", ["A", "C", "red", "Red", "(C) red"])
def test_options_with_one_text_are_one_option(said: str) -> None:
    assert check(says(said), Answer(type=AnswerType.CHOICE, value="A", choices=("red", "blue", "red "))).correct


@pytest.mark.parametrize(
    ("gold", "said", "correct"),
    [
        (answer("choice", "B"), "B", True),
        (answer("choice", "B"), "(B)", True),
        (answer("choice", "B"), "(b)", True),
        (answer("choice", "B"), "B.", True),
        (answer("choice", "(B)"), "B)", True),
        (answer("choice", "B"), "(B) blue", True),
        (answer("choice", "B"), "B. Blue", True),
        (answer("choice", "B"), "blue", True),
        (answer("choice", "C"), "dark  blue.", True),
        (answer("choice", "B"), "(B) red", False),
        (answer("choice", "B"), "bleu", False),
        (answer("choice", "B"), "A", False),
        (answer("choice", "B"), "A or B", False),
        (answer("choice", "B"), "D", False),
        (answer("integer", "61"), "61", True),
        (answer("integer", "61"), "**61**", True),
        (answer("integer", "61"), "$61$.", True),
        (answer("integer", "61"), "\\boxed{61}", True),
        (answer("integer", "61"), "61.0", True),
        (answer("integer", "1200"), "1,200", True),
        (answer("integer", "-3"), "\N{MINUS SIGN}3", True),
        (answer("integer", "61"), "61.4", False),
        (answer("integer", "61"), "6 1", False),
        (answer("integer", "61"), "61, 62", False),
        (answer("integer", "61"), "60 + 1", False),
        (answer("integer", "5"), "I cannot tell. There are 5 objects.", False),
        (answer("integer", "5"), "5 or 6", False),
        (answer("integer", "1200"), "1,20", False),
        (answer("integer", "12", unit="cm"), "12", True),
        (answer("integer", "12", unit="cm"), "12 cm.", True),
        (answer("integer", "12 cm"), "12cm", True),
        (answer("integer", "12", unit="cm"), "12 kg", False),
        (answer("integer", "12"), "12 kg", True),
        (answer("integer", "12", unit="$"), "$12", True),
        (answer("integer", "12", unit="$"), "\N{EURO SIGN}12", False),
        (answer("integer", "50", unit="%"), "50%", True),
        (answer("integer", "50"), "50%", True),
        (answer("integer", "3"), "300%", False),
        (answer("float", "0.5"), "50%", True),
        (answer("float", "0.5"), "1/2", True),
        (answer("float", "0.5"), "1/0", False),
        (answer("float", "0.33", 2), "1/3", True),
        (answer("float", "3.14", 2), "3.1415", True),
        (answer("float", "3.14"), "3.1415", True),
        (answer("float", "3.1"), "3.1415", False),
        (answer("float", "3.14", 2), "3.1", False),
        (answer("float", "-2.35", 2), "-2.345", True),
        (answer("float", "1.5e3"), "1,500", True),
        (answer("list", "[2007, 2008]"), "[2007,2008]", True),
        (answer("list", "[2007, 2008]"), "2007, 2008", True),
        (answer("list", "[2007, 2008]"), "(2007.0, 2008)", True),
        (answer("list", "['red', 'blue']"), '[Red, "blue"]', True),
        (answer("list", "[0.5, 2]", 1), "[0.52, 2]", True),
        (answer("list", "[2007, 2008]"), "[1999, 2008]", False),
        (answer("list", "[2007, 2008]"), "[2008, 2007]", False),
        (answer("list", "[2007, 2008]"), "2008", False),
        (answer("list", "[2007, 2008]"), "[2007, 2008, ]", False),
        (answer("list", "[]"), "[]", True),
        (answer("text", "Dark  Blue"), "dark blue.", True),
        (answer("text", "2\N{SUPERSCRIPT THREE}"), "23", False),
        (answer("math", "2\\sqrt{3}"), "\\sqrt{12}", True),
        (answer("math", "2\\sqrt{3}"), "$2\\sqrt{3}$", True),
        (answer("math", "\\frac{1}{2}"), "0.5", True),
        (answer("math", "[2007, 2008]"), "[2007,2008]", True),
        (answer("math", "x+1"), "1+x", True),
        (answer("math", "5"), "x = 5", True),
        (answer("math", "x = 5"), "5", True),
        (answer("math", "12", unit="cm"), "12 cm", True),
        (answer("math", "1:2"), "1:2", True),
        (answer("math", "2\\sqrt{3}"), "2", False),
        (answer("math", "[2007, 2008]"), "[1999, 2008]", False),
        (answer("math", "12 cm"), "12 kg", False),
        (answer("math", "12 m"), "12 s", False),
        (answer("math", "12", unit="cm"), "12 kg", False),
        (answer("math", "1:2"), "1:3", False),
        (answer("math", "5"), "4 = 5", False),
        (answer("math", "5"), "5 or 6", False),
        (answer("math", "5"), "5$ \\text{or} $6", False),
        (answer("math", "5"), "I cannot tell. There are 5 objects", False),
    ],
)
def test_trap(gold: Answer, said: str, correct: bool) -> None:
    verdict = check(says(said), gold)
    assert verdict.correct is correct, verdict
    assert verdict.reason.startswith(gold.type.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The answer is 61", "no-answer-heading"),
        ("61", "no-answer-heading"),
        ("A step.\n\n## Answer\n\n  ", "empty-answer"),
        (says("6" * 5000), "answer-too-long"),
        (says("60\n\n## Answer\n\n61"), "integer-unreadable"),
        (says("62"), "integer-different"),
        (says("61"), "integer-equal"),
    ],
)
def test_reason(text: str, reason: str) -> None:
    verdict = check(text, answer("integer", "61"))
    assert (verdict.reason, verdict.correct) == (reason, reason == "integer-equal")


@pytest.mark.parametrize(
    ("option", "gold", "said"),
    [
        ("unasked_units", answer("integer", "12"), "12 kg"),
        ("assignments", answer("integer", "12"), "x = 12"),
        ("closed_forms", answer("float", "0.5"), "\\frac{1}{2}"),
        ("number_words", answer("integer", "2"), "two"),
    ],
)
def test_each_leniency_has_its_switch(option: str, gold: Answer, said: str) -> None:
    assert check(says(said), gold).correct
    assert not check(says(said), gold, AnswerRule.model_validate({option: False})).correct


def test_a_sentence_counts_only_where_it_may() -> None:
    said, gold = "Two and two. The answer is 4.", answer("integer", "4")
    assert check(said, gold).reason == "no-answer-heading"
    assert check(said, gold, AnswerRule(sentences=True)).correct
    both = "The answer is 4. No, the answer is 5."
    assert not check(both.replace(". ", ".\n"), gold, AnswerRule(sentences=True)).correct


def test_extracted_answer_is_kept() -> None:
    assert check(says("**62**"), answer("integer", "61")).extracted == "62"
    assert check("no heading", answer("integer", "61")).extracted is None


@pytest.mark.parametrize(
    "gold", [answer("integer", "many"), answer("integer", "6.5"), answer("float", "?"), answer("choice", "E")]
)
def test_reference_answer_must_have_its_type(gold: Answer) -> None:
    with pytest.raises(InvalidDataset, match=r"answer\.value"):
        check(says("6"), gold)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_integers_compare_by_value(gold: int, said: int) -> None:
    assert check(says(f"{said:,}"), answer("integer", str(gold))).correct is (gold == said)
    assert check(says(f"{gold:,}"), answer("integer", str(gold))).correct


@given(st.integers(0, 10**6), st.integers(0, 4), st.integers(0, 4))
def test_floats_agree_to_their_precision(digits: int, precision: int, extra: int) -> None:
    gold = f"{digits / 10**precision:.{precision}f}"
    longer = gold + ("." if precision == 0 and extra else "") + "4" * extra
    shifted = f"{(digits + 1) / 10**precision:.{precision}f}"
    assert check(says(longer), answer("float", gold, precision)).correct
    assert not check(says(shifted), answer("float", gold, precision)).correct


@given(
    st.lists(st.integers(-999, 999), min_size=1, max_size=5), st.lists(st.integers(-999, 999), min_size=1, max_size=5)
)
def test_lists_compare_element_by_element(gold: list[int], said: list[int]) -> None:
    assert check(says(str(said)), answer("list", str(gold))).correct is (gold == said)


@given(st.text(max_size=80), st.sampled_from(["choice", "integer", "float", "list", "text"]))
def test_any_text_gets_a_verdict_and_only_the_heading_gives_an_answer(text: str, kind: str) -> None:
    gold = answer(kind, "B" if kind == "choice" else "61")
    verdict = check(text, gold)
    assert verdict.correct is False
    check(says(text), gold)


def test_math_is_refused_outside_the_main_thread() -> None:
    caught: list[str] = []

    def in_thread() -> None:
        try:
            check(says("1+x"), answer("math", "x+1"))
        except RuntimeError as error:
            caught.append(str(error))

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert len(caught) == 1
    assert "main thread" in caught[0]


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        (answer("list", "[1, 2]"), f"1, 2,{' ' * 3000}3"),
        (answer("math", "x = 1, x = 4"), f"x ={' ' * 3000}x"),
        (answer("text", "yes"), f"The answer is{' ' * 4000}x"),
    ],
    ids=["list", "math", "text"],
)
def test_long_white_space_costs_no_more_than_quadratic_time(gold: Answer, said: str) -> None:
    begun = time.process_time()
    assert not check(says(said), gold).correct
    assert time.process_time() - begun < 10, "cubic time takes minutes"


def test_a_sentence_without_an_answer_ends_soon() -> None:
    begun = time.process_time()
    answer_in_sentence("The answer is" + "\n" * 60_000)
    assert time.process_time() - begun < 5, "quadratic time takes a minute"


@pytest.mark.parametrize(
    "unit", ["m^9^9^9", "m**9**9**9", "sq m^9^9^9", "(9**99)**99**99", "((9**99)**99)**99", "m^999"]
)
def test_a_unit_of_powers_of_powers_is_unknown(unit: str) -> None:
    assert factor(unit, "km") is None and not same_unit(unit, "km")


@pytest.mark.parametrize(
    ("said", "asked"),
    [("m^2", "cm^2"), ("m ** 2", "cm^2"), ("m s^-2", "cm s^-2"), ("kg m^2 s^-3", "watt"), ("m/s", "km/h")],
)
def test_powers_of_units_are_read(said: str, asked: str) -> None:
    assert factor(said, asked) is not None


@pytest.mark.parametrize("value", [float("inf"), "1e999", "two", [2]])
def test_a_precision_that_is_no_number_of_decimals_is_refused(value: object) -> None:
    with pytest.raises(InvalidDataset, match="precision"):
        answer_of({"answer": "1.5", "answer_type": "float", "precision": value})


def test_a_list_of_decimals_and_dates_is_an_answer_and_one_of_bytes_is_refused() -> None:
    found = answer_of({"answer": [Decimal("1.5"), date(2026, 1, 2)]})
    assert check(says("[1.5, 2026-01-02]"), found).correct
    with pytest.raises(InvalidDataset, match="answer must be"):
        answer_of({"answer": [b"x"]})


@pytest.mark.parametrize(
    ("said", "asked", "same"),
    [("yuan", "yen", False), ("RMB", "CNY", True), ("¥", "yuan", True), ("JPY", "¥", True), ("JPY", "CNY", False)],
)
def test_yen_and_yuan_share_a_sign_only(said: str, asked: str, same: bool) -> None:
    assert same_unit(said, asked) is same


@pytest.mark.parametrize("said", ["a = 5, b = 3", "a = 3, c = 5", "b = 3, a = 5"])
def test_the_names_of_several_unknowns_count(said: str) -> None:
    answer = answer_of({"answer": "a = 3, b = 5"})
    assert check("## Answer\n\nb = 5 and a = 3", answer).correct
    assert not check(f"## Answer\n\n{said}", answer).correct


def test_a_letter_with_words_of_the_question_is_no_letter_alone() -> None:
    answer = answer_of({"answer": "C", "choices": ["hot", "cold", "cannot be determined"]})
    assert not check("Answer: C. cold", answer, question="Is the water hot or cold?").correct


def test_the_value_of_a_name_that_is_not_asked_for_is_no_answer() -> None:
    answer = answer_of({"answer": "\\frac{5}{13}"})
    assert check("Answer: sin A = 5/13", answer, question="What is sin A?").correct
    assert not check("Answer: cos A = 5/13", answer, question="What is sin A?").correct


@pytest.mark.parametrize("said", ["y = 2 or y = 3", "x = 2, y = 3", "x = 2 or x = 4"])
def test_solutions_of_another_unknown_are_none(said: str) -> None:
    answer = answer_of({"answer": "x = 2 or x = 3"})
    assert check("Answer: x_1 = 3, x_2 = 2", answer).correct
    assert not check(f"Answer: {said}", answer).correct


def test_a_decade_is_no_year() -> None:
    assert not check("Answer: 2010s", answer_of({"label": ["2010"]})).correct


@pytest.mark.parametrize("said", ["$5$ cm", "\\(5\\) cm", "$AC = 5$ cm", "\\frac{10}{2} = 5", "3 + 2 = 5 cm"])
def test_a_number_counts_behind_its_marks_and_its_arithmetic(said: str) -> None:
    assert check(f"Answer: {said}", answer_of({"answer": "5 cm"})).correct
    assert not check(f"Answer: {said}", answer_of({"answer": "10 cm"})).correct


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        ("y = 2x + 1", ("f(x) = 2x + 1", "g(x) = 1 + 2x"), ("f(y) = 2x + 1", "f'(x) = 2x + 1", "f(x) = 2x")),
        ("f(x) = 2x + 1", ("y = 2x + 1",), ("g(x) = 2x + 1", "y = 2x - 1")),
        ("y = \\frac{2}{3}x + 4", ("y = 2/3 x + 4",), ("y = \\frac{2}{3x} + 4", "y = 3/2 x + 4")),
        ("(-1, 2.5)", ("(-1; 2.5)", "(-1; 2,5)"), ("(-1; 2)", "[-1; 2.5]")),
        ("3/8", ("37.5%", "37.5 percent"), ("37%", "375%", "37.5")),
        ("\\{2, 3\\}", ("$x = 2$ or $x = 3$",), ("$x = 2$ or $x = 5$",)),
        ("16.97", ("12√2 ≈ 16.97", "12\\sqrt{2} \\approx 16.97"), ("12√2 ≈ 16.79",)),
        ("8\\sqrt{3}", ("8\\sqrt{3} \\approx 13.86",), ("8\\sqrt{2} \\approx 8\\sqrt{3}",)),
        ("2\\sqrt{13}", ("√52 = 2√13",), ("√52 = 4√13", "2√13 = √31")),
        ("45", ("15% of 300 is 45", "half of 90 is 45"), ("15% of 45 is 300", "15% of 45")),
        ("C2H6O", ("\\ce{C2H6O}",), ("\\ce{C2H4O}",)),
        ("2 hours 5 minutes", ("two hours and five minutes",), ("two minutes and five seconds",)),
        ("4.7 kΩ", ("4.7 kilohms",), ("4.7 megohms",)),
    ],
)  # fmt: skip
def test_other_spellings_of_one_value(gold: str, right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    answer = answer_of({"answer": gold})
    assert [said for said in right if not check(says(said), answer).correct] == []
    assert [said for said in wrong if check(says(said), answer).correct] == []


@pytest.mark.parametrize(
    ("said", "correct"),
    [
        *((said, True) for said in ("2 amperes", "2 amps", "I = 2 A", "0.002 kA", "2 A, not 3 A", "故选A")),
        *((said, False) for said in ("2 volts", "2 mA", "3 amperes", "3 A, not 2 A", "2 A, not sure", "not 2 A")),
    ],
)
def test_an_option_counts_by_its_quantity(said: str, correct: bool) -> None:
    answer = answer_of({"answer": "A", "choices": ["2 A", "3 A", "4 A"]})
    assert check(says(said), answer).correct is correct
