"""Ids of runs and studies: made by the server, sortable by time of creation."""

import re

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: in the order of ASCII, without letters that look like digits."""
_ID = re.compile(rf"\b[a-z]-[{_DIGITS}]{{14,18}}(-\d{{6}})?\b")


def new_run_id(now: float, entropy: bytes, after: str | None = None, prefix: str = "r") -> str:
    """`r-`, ten digits of the milliseconds since the epoch, and one digit for each byte of entropy.

    `after`: the newest id there is. The new one sorts after it even when the clock was put back. `prefix`: one letter
    for what the id names: `r` for a run, `s` for a study.
    """
    # One more and not the same: ids of one millisecond would sort by chance.
    milliseconds = max(int(now * 1000), 0 if after is None else _milliseconds(after) + 1)
    time = "".join(_DIGITS[(milliseconds >> shift) & 31] for shift in range(45, -1, -5))
    return f"{prefix}-{time}{''.join(_DIGITS[byte & 31] for byte in entropy)}"


def without_ids(text: str) -> str:
    """The text without ids of runs, their steps and whatever else has an id like theirs, for readers of any project."""
    return _ID.sub("…", text)


def _milliseconds(run_id: str) -> int:
    value = 0
    for digit in run_id[2:12]:
        value = value << 5 | _DIGITS.index(digit)
    return value
