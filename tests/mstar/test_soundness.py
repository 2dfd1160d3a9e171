"""Soundness is judged by what the steps of a chain claim."""

import itertools
import random

import pytest

from mstar.soundness import ArithmeticClaim, claim_of, is_sound

CHAIN = ("A is 12", "12 + 30 = 42")
TREE = ("A is 3", "B is 7", "3 ^ 7 = 7", "C is 5", "7 - 5 = 2")
TAIL = "\n\n## Answer\n\n2"


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("A is 12\n\n12 + 30 = 42\n\n## Answer\n\n42", True),
        ("A  is 12 \n\n\n12 + 30\n= 42\n\n## Answer\n\n41", True),
        ("A shows 12\n\n12 + 30 gives 42\n\n## Answer\n\n42", True),
        ("12 + 30 = 42\n\nA is 12\n\n## Answer\n\n42", False),
        ("A is 12\n\n## Answer\n\n42", False),
        ("A is 12 12 + 30 = 42\n\n## Answer\n\n42", False),
        ("A is 12\n\nA is 12\n\n12 + 30 = 42\n\n## Answer\n\n42", False),
        ("A is 12\n\n12 + 30 = 42\n\nso it is\n\n## Answer\n\n42", False),
    ],
)
def test_a_short_chain(text: str, sound: bool) -> None:
    assert is_sound(text, CHAIN) is sound


def test_every_order_that_states_values_before_their_use_is_sound() -> None:
    for order in itertools.permutations(range(5)):
        fits = order.index(2) > max(order.index(0), order.index(1)) and order.index(4) > max(
            order.index(2), order.index(3)
        )
        # 7 is also what B shows, so the difference may come before the larger of the two is named.
        early = order.index(4) > max(order.index(1), order.index(3)) and order.index(2) > max(
            order.index(0), order.index(1)
        )
        text = "\n\n".join(TREE[place] for place in order) + TAIL
        assert is_sound(text, TREE) is (fits or early), order


def test_one_wrong_value_anywhere_is_not_sound() -> None:
    rng = random.Random(0)
    for _ in range(50):
        steps = list(TREE)
        place = rng.randrange(5)
        words = steps[place].split(" ")
        words[-1] = str((int(words[-1]) + rng.randint(1, 9)) % 10)
        steps[place] = " ".join(words)
        assert not is_sound("\n\n".join(steps) + TAIL, TREE)


def test_a_known_chain_with_other_words_is_matched_word_for_word() -> None:
    gold = ("A is 12, B is 3", "Sum: 12 + 3 = 15")
    assert claim_of(gold[1]) is None
    assert is_sound("A is 12,  B is 3\n\nSum: 12 + 3 = 15\n\n## Answer\n\n15", gold)
    assert not is_sound("Sum: 12 + 3 = 15\n\nA is 12, B is 3\n\n## Answer\n\n15", gold)
    assert not is_sound("B is 3, A is 12\n\nSum: 12 + 3 = 15\n\n## Answer\n\n15", gold)


@pytest.mark.parametrize(
    ("step", "claim"),
    [
        ("A is 3", ArithmeticClaim(("A",), "3")),
        ("the left bar shows 2.5", ArithmeticClaim(("the left bar",), "2.5")),
        ("x = 4.", ArithmeticClaim(("x",), "4")),
        ("3 ^ 7 makes 7", ArithmeticClaim(("3", "^", "7"), "7")),
        ("2 x 21 = 42", ArithmeticClaim(("2", "x", "21"), "42")),
        ("leave C", None),
        ("A is B", None),
        ("3 7 = 7", None),
    ],
)
def test_what_a_step_claims(step: str, claim: ArithmeticClaim | None) -> None:
    assert claim_of(step) == claim
