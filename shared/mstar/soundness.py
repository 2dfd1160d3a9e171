"""Whether a chain reasons as a known sound one: step by step, by what each step claims, not by its wording.

Two kinds of claims are understood: a reading (`A is 3`) and a calculation (`3 + 4 = 7`). The verb between the two sides
does not matter, nor does the order of steps, as long as a calculation comes after the values that it needs. A known
chain with any other step is matched word for word. What this leaves out: whether the answer is right (`answers`).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mstar.layout import STEP_SEPARATOR, split_response

_VERB = r"(?:=|:|is|are|equals|shows|has|reads|gives|makes)"
_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_READING = re.compile(rf"(?P<name>[^\W\d]\w*(?: \w+){{0,3}}?) ?{_VERB} (?P<value>{_NUMBER})\.?")
_CALCULATION = re.compile(
    rf"(?P<first>{_NUMBER}) (?P<sign>[^\w\s=:]|[a-z]+) (?P<second>{_NUMBER}) {_VERB} (?P<value>{_NUMBER})\.?"
)


@dataclass(frozen=True, slots=True)
class ArithmeticClaim:
    """What one step says."""

    about: tuple[str, ...]
    """A name, or first number, sign and second number."""
    value: str

    @property
    def operands(self) -> tuple[str, ...]:
        """The numbers that a calculation takes."""
        return (self.about[0], self.about[2]) if len(self.about) == 3 else ()


def claim_of(step: str) -> ArithmeticClaim | None:
    """The claim of a step; None for a step that is neither a reading nor a calculation."""
    text = " ".join(step.split())
    if found := _CALCULATION.fullmatch(text):
        return ArithmeticClaim((found["first"], found["sign"], found["second"]), found["value"])
    if found := _READING.fullmatch(text):
        return ArithmeticClaim((found["name"],), found["value"])
    return None


def is_sound(text: str, gold_steps: Sequence[str], separator: str = STEP_SEPARATOR) -> bool:
    """Whether a response makes the claims of the known chain, each once and none other, before it needs them.

    Where the known chain has a step that is not a claim, the steps must be the same in the same order, white space
    aside.
    """
    steps = split_response(text, separator).steps
    gold = tuple(claim for step in gold_steps if (claim := claim_of(step)))
    if len(gold) < len(gold_steps):
        return [step.split() for step in steps] == [step.split() for step in gold_steps]
    claims = [claim_of(step) for step in steps]
    # As multisets: a chain that repeats a claim, or adds a wrong one, is not sound.
    return Counter(claims) == Counter(gold) and _in_order(claims, _needs(gold))


def _needs(gold: Sequence[ArithmeticClaim]) -> dict[ArithmeticClaim, set[str]]:
    """What must be stated before each claim. Numbers that the known chain takes from the question need not be."""
    stated: set[str] = set()
    needs: dict[ArithmeticClaim, set[str]] = {}
    for claim in gold:
        # Values and not claims: 5 may be read from a cell or come out of a sum, and either is enough to go on with.
        needs.setdefault(claim, stated.intersection(claim.operands))
        stated.add(claim.value)
    return needs


def _in_order(claims: Sequence[ArithmeticClaim | None], needs: dict[ArithmeticClaim, set[str]]) -> bool:
    stated: set[str] = set()
    for claim in claims:
        if claim is None or not stated.issuperset(needs[claim]):
            return False
        stated.add(claim.value)
    return True
