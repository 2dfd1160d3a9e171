"""Run ids: made by the server, sortable by time of creation."""

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: in the order of ASCII, without letters that look like digits."""


def new_run_id(now: float, entropy: bytes) -> str:
    """`r-`, ten digits of the milliseconds since the epoch, and one digit for each byte of entropy."""
    milliseconds = int(now * 1000)
    time = "".join(_DIGITS[(milliseconds >> shift) & 31] for shift in range(45, -1, -5))
    return f"r-{time}{''.join(_DIGITS[byte & 31] for byte in entropy)}"
