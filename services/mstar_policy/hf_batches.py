"""Cutting what waits into what is prefilled together, and that into what is decoded together.

Prefill wants the openings of a prompt beside each other, for they share its computation; decoding wants neighbours in
length, which fill the same columns and end at about the same time. What this leaves out: whose openings they are, and
how they are computed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mstar_policy.hf_prefill import Opening

Thing = TypeVar("Thing")
Owner = TypeVar("Owner")

PREFILLED_SHARE = 2
"""What is prefilled and waits for its batch takes at most one part in so many of the memory that a batch may take."""


@dataclass(frozen=True)
class Limits:
    """What a batch may need."""

    rows: int = 1024
    """Samples that are decoded together."""
    tokens: int = 1 << 20
    """Tokens, of all of them and with room for their answers, whose keys and values there is memory for."""


def windows(
    prompts: Iterable[tuple[Owner, Sequence[Opening]]], limits: Limits
) -> Iterator[list[tuple[Owner, list[Opening]]]]:
    """Openings of prompts in their order, as many as may be prefilled together; one opening always may."""
    most = limits.tokens // PREFILLED_SHARE
    parts = [(owner, part) for owner, openings in prompts for part in _cut(openings, len, most)]
    return _cut(parts, lambda owned: sum(map(len, owned[1])), most)


def batches(openings: Iterable[Opening], limits: Limits) -> Iterator[list[Opening]]:
    """Openings by length, as many together as may be decoded together; one opening always may."""
    batch: list[Opening] = []
    rows = answer = 0
    for opening in sorted(openings, key=len):
        more = len(opening.draws)
        longest = max(draw.max_tokens for draw in opening.draws)
        total, answer = rows + more, max(answer, longest)
        if batch and (total > limits.rows or total * (len(opening) + answer) > limits.tokens):
            yield batch
            batch, total, answer = [], more, longest
        batch.append(opening)
        rows = total
    if batch:
        yield batch


def _cut(things: Iterable[Thing], cost: Callable[[Thing], int], most: int) -> Iterator[list[Thing]]:
    taken: list[Thing] = []
    spent = 0
    for thing in things:
        if taken and spent + cost(thing) > most:
            yield taken
            taken, spent = [], 0
        taken.append(thing)
        spent += cost(thing)
    if taken:
        yield taken
