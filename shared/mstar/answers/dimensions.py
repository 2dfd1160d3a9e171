"""What kind of quantity a question asks for by name, so that a unit of another kind is another answer.

`24 cm^3` is not an area and `9.81 m/s` not an acceleration. What this leaves out: the unit that a question names
(`wanted`).
"""

import re
from functools import lru_cache

from mstar.answers.units import is_known, same_kind

_UNITS = {
    "area": ("m^2",), "volume": ("m^3",), "perimeter": ("m",), "circumference": ("m",), "length": ("m",),
    "width": ("m",), "height": ("m",), "radius": ("m",), "diameter": ("m",), "distance": ("m",),
    "speed": ("m/s",), "velocity": ("m/s",), "acceleration": ("m/s^2",), "mass": ("kg",), "weight": ("kg", "N"),
    "force": ("N",), "energy": ("J",), "power": ("W",), "voltage": ("V",), "current": ("A",), "resistance": ("ohm",),
    "pressure": ("Pa",), "frequency": ("Hz",), "density": ("kg/m^3",), "slope": (),
    "wavelength": ("m",), "amplitude": (), "周长": ("m",), "面积": ("m^2",), "体积": ("m^3",),
}  # fmt: skip
"""A unit of each kind that an answer may have; empty where it may have any."""
_ASKED = re.compile(
    r"\b(?:find|calculate|determine|compute|estimate|(?:what|how\s+much)(?:\s+is|\s+was|['\u2019]s)?)\s+(?:the\s+)?"
    rf"(?:(?!of\b|with\b|if\b|whose\b)[\w-]+\s+){{0,2}}?(?P<kind>{'|'.join(_UNITS)})\b",
    re.IGNORECASE,
)

_OF_TURN = re.compile(
    r"\b(?:find|what\s+is|calculate|determine)\s+(?:(?:the\s+)?(?:degree\s+)?measure\s+of\s+(?:the\s+)?)?\$?m?\s*(?:arc|angle|∠|\\angle)",
    re.IGNORECASE,
)
_ANY_UNIT = re.compile(r"\bunits?\b", re.IGNORECASE)


def is_of_another_kind(unit: str, question: str) -> bool:
    """Whether a unit measures something else than what the question asks for by name."""
    kind = asked_quantity(question)
    if _OF_TURN.search(question) and is_known(unit) and not _ANY_UNIT.search(unit):
        return not same_kind(unit, "degree")
    return (
        bool(kind)
        and not _ANY_UNIT.search(unit)
        and is_known(unit)
        and not any(same_kind(unit, one) for one in _UNITS[kind])
    )


@lru_cache(maxsize=4096)
def asked_quantity(question: str) -> str:
    """`area`, where the question asks for one; empty where it names no quantity, or several."""
    kinds = {found["kind"].casefold() for found in _ASKED.finditer(question)}
    kinds |= {name for name in ("周长", "面积", "体积") if name in question}
    return kinds.pop() if len(kinds) == 1 else ""
