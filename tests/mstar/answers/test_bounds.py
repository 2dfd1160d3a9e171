import sys
from types import FrameType

import pytest

from mstar.answers import check
from mstar.answers.bounds import may_be_asked
from mstar.types import Answer, AnswerType

LENGTHS = (100, 400, 4000)
NESTED = {
    "brackets": lambda size: "(" * (size // 2 - 1) + "1" + ")" * (size // 2 - 1),
    "open brackets": lambda size: "(" * size,
    "roots": lambda size: "\\sqrt{" * (size // 7) + "2" + "}" * (size // 7),
    "fractions": lambda size: "\\frac{1}{" * (size // 10) + "2" + "}" * (size // 10),
    "powers": lambda size: "2^" * (size // 2) + "2",
    "powers of letters": lambda size: "x^" * (size // 2) + "2",
    "powers in braces": lambda size: "2^{" * (size // 4) + "2" + "}" * (size // 4),
    "signs": lambda size: "-" * size,
    "digits": lambda size: "7" * size,
    "factors": lambda size: "(x+1)" * (size // 5),
    "terms": lambda size: "\\frac{x}{x+1}+" * (size // 14) + "1",
    "spaces": lambda size: f"1{' ' * (size - 2)}1",
}
MOST_CALLS = 200_000
"""Up to 1.4 million for these without bounds, which run into a time limit then; a few hundred for a usual answer."""


def math(value: str) -> Answer:
    return Answer(type=AnswerType.MATH, value=value)


def calls_of(said: str, gold: str) -> int:
    """How many functions of Python a check calls: the work, on any machine."""
    calls = 0

    def count(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        verdict = check(f"## Answer\n\n{said}", math(gold))
    finally:
        sys.setprofile(None)
    assert not verdict.correct
    return calls


@pytest.mark.parametrize("kind", NESTED)
def test_nonsense_is_wrong_after_little_work(kind: str) -> None:
    # What is imported and built at first use is not work of the answer.
    check("## Answer\n\n\\frac{\\sqrt{3}}{2} + x", math("\\frac{\\sqrt{5}}{2} + x"))
    for size in LENGTHS:
        for gold in ("x^2 + 1", "\\frac{1}{2}", "3^{5}"):
            assert calls_of(NESTED[kind](size), gold) < MOST_CALLS, (size, gold)


@pytest.mark.parametrize(
    ("said", "gold"),
    [
        ("9^{9^{9}}", "3^{5}"),
        ("9^{99999999}", "3^{5}"),
        ("((9^{999})^{999})^{999}", "(3^{5})^{2}"),
        ("(x+1)^{99999}", "x^2 + 1"),
        ("99999999!", "5!"),
        ("\\binom{1000000}{500000}", "\\frac{1}{2}"),
        ("\\prod_{k=1}^{99999} 2", "\\frac{1}{2}"),
    ],
)
def test_numbers_that_cannot_be_written_out_are_not_worked_out(said: str, gold: str) -> None:
    assert not may_be_asked(said, gold)
    assert not check(f"## Answer\n\n{said}", math(gold)).correct


@pytest.mark.parametrize(
    ("said", "gold"),
    [
        ("\\frac{1}{3} \\frac{1}{2}\\\\", "\\frac{1}{2}"),
        ("\\frac{1}{3}\n\\frac{1}{2}", "\\frac{1}{2}"),
        ("\\boxed{\\frac{\\sqrt{3}}{2}}\\frac{1}{2}", "\\frac{\\sqrt{3}}{2}"),
        ("\\binom{4}{1}", "\\frac{8}{2}"),
    ],
)
def test_a_part_of_the_answer_is_not_the_answer(said: str, gold: str) -> None:
    assert not check(f"## Answer\n\n{said}", math(gold)).correct


@pytest.mark.parametrize(
    ("said", "gold"),
    [
        ("\\frac{1}{2} \\\\", "\\frac{1}{2}"),
        ("\\dfrac{n^{2} + n}{2}", "n(n+1)/2"),
        ("x^{2^{n}}", "x^{2^n}"),
        ("(((((\\frac{1}{2})))))", "\\frac{1}{2}"),
        ("2^{2024}", "2^{2024}"),
        ("\\binom{n}{2} + 1", "1 + \\binom{n}{2}"),
        ("\\begin{pmatrix}1 & 2 \\\\\n3 & 4\\end{pmatrix}", "\\begin{pmatrix}1 & 2 \\\\ 3 & 4\\end{pmatrix}"),
        ("f'(x) = 2x", "f'(x) = x \\cdot 2"),
        (f"\\frac{{1}}{{2}}{' ' * 300}.", "\\frac{1}{2}"),
    ],
)
def test_the_reference_in_other_words_is_within_the_bounds(said: str, gold: str) -> None:
    assert check(f"## Answer\n\n{said}", math(gold)).correct
