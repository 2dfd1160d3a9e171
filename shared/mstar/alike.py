"""Lists problems so that a thousand of one kind do not hide the one of another."""

import re
from collections.abc import Mapping, MutableMapping, Sequence

EACH = 3
"""Problems of one kind that are shown."""
MOST_KINDS = 1000
"""Kinds that are told apart; what comes behind them is only counted."""
_VARIES = re.compile(r"'[^']*'|\"[^\"]*\"|\S*[\d/]\S*|\S+\.\w+")
"""What differs between problems of one kind: places, paths, numbers, and values in quotes."""


def gather(problem: str, problems: list[str], kinds: MutableMapping[str, int], most: int) -> None:
    """Count the problem in `kinds`, and keep it among the first ones, of which there are at most `most`."""
    kind = _VARIES.sub("", problem)
    if kind in kinds or len(kinds) < MOST_KINDS:
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] <= EACH and len(problems) < most:
            problems.append(problem)


def listed(problems: Sequence[str], kinds: Mapping[str, int], count: int) -> list[str]:
    """The problems, those of a kind together, and how many there are besides; `count`: of all."""
    shown: dict[str, list[str]] = {}
    for problem in problems:
        shown.setdefault(_VARIES.sub("", problem), []).append(problem)
    lines = []
    for kind, some in shown.items():
        alike = kinds.get(kind, 0) - len(some)
        lines += [*some, *([f"  and {alike:,} more like that"] if alike > 0 else [])]
        count -= len(some) + max(0, alike)
    return [*lines, *([f"and {count:,} more"] if count > 0 else [])]
