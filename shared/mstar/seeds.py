"""Derived randomness: every seed, order and share of a run follows from the recipe's seed by SHA-256.

So the same recipe draws the same samples on every machine and every Python, whatever the order in which workers arrive.
This holds no generator and no state; who draws numbers seeds a generator with `derive`.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def derive(seed: int, *parts: str | int | float) -> int:
    """A 63-bit seed for one purpose, named by its parts: purpose, question id, draw index.

    Parts are hashed as a JSON list, so neither `("a", "b")` and `("ab",)` nor `1` and `"1"` collide.
    """
    # Floats are written by repr, the shortest text that reads back as the same number, on every platform.
    message = json.dumps([seed, *parts], separators=(",", ":"), allow_nan=False).encode()
    # 63 bits: numpy, torch, vLLM and SQL integers all hold it as a signed number.
    return int.from_bytes(hashlib.sha256(message).digest()[:8]) >> 1


def permutation(n: int, seed: int) -> list[int]:
    """The numbers 0 to n - 1 in an order fixed by the seed."""
    # Sorted by a hash and not shuffled: library shuffles may change between versions, and SHA-256 does not.
    return sorted(range(n), key=lambda place: (derive(seed, "permutation", place), place))


def take(order: Sequence[Item], start: int, count: int) -> tuple[Item, ...]:
    """`count` items from place `start` of an order that begins again at its end: an iteration's share of a split.

    Raises ValueError for an empty order or a negative start or count.
    """
    if not order or start < 0 or count < 0:
        raise ValueError(f"cannot take {count} items from place {start} of {len(order)}")
    return tuple(order[(start + place) % len(order)] for place in range(count))
