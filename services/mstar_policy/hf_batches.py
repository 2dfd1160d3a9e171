"""Groups waiting prompts into prefill and decode batches.

Prefill wants the prefixes of one prompt together, because they share its computation. Decoding wants neighbours in
length, which fill the same columns and end at about the same time. What this leaves out: which request a prefix
belongs to, and how it is computed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mstar_policy.hf_prefill import PromptPrefix

Thing = TypeVar("Thing")
Owner = TypeVar("Owner")

PREFILLED_SHARE = 2
"""Prefilled prefixes that wait for their batch take at most this fraction (1 / 2) of the memory of a decode batch."""


@dataclass(frozen=True)
class BatchLimits:
    """Upper bounds of a decode batch."""

    rows: int = 1024
    """Most samples decoded together."""
    tokens: int = 1 << 20
    """Most tokens whose keys and values fit in memory: over all rows, padding and room for the answers included."""


def windows(
    prompts: Iterable[tuple[Owner, Sequence[PromptPrefix]]], limits: BatchLimits
) -> Iterator[list[tuple[Owner, list[PromptPrefix]]]]:
    """Groups to prefill together, in the order of the prompts, each with its owner.

    A group stays within the memory for prefilled prefixes, unless it is a single prefix that is longer.
    """
    most = limits.tokens // PREFILLED_SHARE
    # Prefixes of one prompt are cut apart only where they do not fit together: what they share is then computed twice.
    parts = [(owner, part) for owner, prefixes in prompts for part in _grouped(prefixes, len, most)]
    return _grouped(parts, lambda owned: sum(map(len, owned[1])), most)


def batches(prefixes: Iterable[PromptPrefix], limits: BatchLimits) -> Iterator[list[PromptPrefix]]:
    """Groups to decode together, shortest prefixes first.

    A group stays within the limits, unless it is a single prefix that exceeds them.
    """
    batch: list[PromptPrefix] = []
    rows = answer = 0
    for prefix in sorted(prefixes, key=len):
        more = len(prefix.draws)
        longest = max(draw.max_tokens for draw in prefix.draws)
        total, answer = rows + more, max(answer, longest)
        # Sorted by length, so this prefix is the widest so far, and all rows are padded to it.
        if batch and (total > limits.rows or total * (len(prefix) + answer) > limits.tokens):
            yield batch
            batch, total, answer = [], more, longest
        batch.append(prefix)
        rows = total
    if batch:
        yield batch


def _grouped(things: Iterable[Thing], cost: Callable[[Thing], int], most: int) -> Iterator[list[Thing]]:
    """Consecutive groups whose costs sum to at most `most`; one that costs more is alone in its group."""
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
