"""Formulas in one form: products of letters, vectors, and both signs of ±."""

import pytest

from mstar.answers import answer_of, check


def right(gold: str, said: str) -> bool:
    return check(f"## Answer\n\n{said}", answer_of({"answer": gold})).correct


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        ("3ab^2", "3b^2a"),
        ("3ab^2", r"3\,a\,b^{2}"),
        ("3ab^2", "3·a·b²"),
        ("5xy", "5yx"),
        ("80gb", "80 GB"),
        ("2ab+3", "3+2ab"),
        ("x^2y", "yx^2"),
        (r"\frac{3}{4}x + 1", "0.75x + 1"),
        ("x=-3", "The solution is x = -3."),
        ("f^{-1}(x) = 2x", "2x"),
        (r"\begin{pmatrix}3\\-2\end{pmatrix}", "(3, -2)"),
        (r"\begin{pmatrix}3\\-2\end{pmatrix}", r"\langle 3, -2 \rangle"),
        (r"x = \frac{-1 \pm \sqrt{5}}{2}", "x = (-1 ± √5)/2"),
        (r"x = \frac{-1 \pm \sqrt{5}}{2}", r"\frac{-1+\sqrt5}{2}, \frac{-1-\sqrt5}{2}"),
    ],
)
def test_one_formula_in_two_forms_is_right(gold: str, said: str) -> None:
    assert right(gold, said)


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        ("3ab^2", "3ba^2"),
        ("3ab^2", "(3ab)^2"),
        ("2ab+3", "2a+b+3"),
        ("cat", "act"),
        (r"\frac{x}{3}", "0.333333333333x"),
        (r"\sqrt{2}x", "1.414x"),
        ("x=-3", "The solution is not x = -3."),
        ("5am-6pm", "6pm-5am"),
        (r"\begin{pmatrix}3\\-2\end{pmatrix}", "(-2, 3)"),
        (r"x = \frac{-1 \pm \sqrt{5}}{2}", "x = -1 ± √5/2"),
        (r"x = \frac{-1 \pm \sqrt{5}}{2}", r"\frac{-1+\sqrt5}{2}"),
        (r"2 \pm \sqrt{3}", "2+√3, 2+√3"),
    ],
)
def test_another_formula_is_wrong(gold: str, said: str) -> None:
    assert not right(gold, said)
