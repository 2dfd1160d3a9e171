"""The six operations of the set. Each takes two digits to one, so that no result gives a slip away.

Sums and differences run on a dial of ten: after 9 comes 0. Half of all operations forget one of their operands often
(the larger, the smaller), so slips can cancel.
"""

from collections.abc import Callable

OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda first, second: (first + second) % 10,
    "-": lambda first, second: (first - second) % 10,
    "^": max,
    "&": min,
    "~": lambda first, second: abs(first - second),
    "@": lambda first, second: (first + second) // 2,
}
"""Sign → result: dial sum, dial difference, larger, smaller, distance, middle (rounded down)."""
WEIGHTS = dict.fromkeys(OPERATIONS, 1)
"""How often each is asked for."""
FAMILIAR = {"+": 3, "-": 3, "^": 4, "&": 4, "~": 3, "@": 3}
"""The same in pretraining, where the easiest are met most."""


def result(sign: str, first: int, second: int) -> int:
    """What an operation gives for two digits."""
    return OPERATIONS[sign](first, second)
