"""Compares units: the same unit in other words, and another unit of the same kind with its factor, by pint."""

import re
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

from mstar.answers.scripts import powers_written_out

_CURRENCIES = {
    "$": "$", "dollar": "$", "dollars": "$", "usd": "$", "us dollars": "$", "u.s. dollars": "$", "bucks": "$",
    "€": "€", "euro": "€", "euros": "€", "eur": "€", "£": "£", "gbp": "£", "pounds sterling": "£",
    "¥": "¥", "yen": "JPY", "jpy": "JPY", "yuan": "CNY", "元": "CNY", "rmb": "CNY", "cny": "CNY",
    "₹": "₹", "rupees": "₹", "rupee": "₹", "rs": "₹", "inr": "₹",
}  # fmt: skip
_ALIKE = {
    "%": "%", "percent": "%", "per cent": "%", "percents": "%", "percentage": "%",
    "°": "°", "degree": "°", "degrees": "°", "deg": "°", "deg.": "°", 
    "degrees celsius": "degC", "degree celsius": "degC", "celsius": "degC", "degrees c": "degC",
    "degrees fahrenheit": "degF", "degree fahrenheit": "degF", "fahrenheit": "degF", "degrees f": "degF",
    "ω": "ohm", "ohms": "ohm", "\\omega": "ohm", "kω": "kiloohm", "mω": "megaohm", "cents": "¢", "cent": "¢", "¢": "¢",
    "pp": "pp", "p.p": "pp", "percentage point": "pp", "percentage points": "pp", "percent points": "pp",
    "bpm": "bpm", "beats per minute": "bpm", "beats/minute": "bpm", "beats/min": "bpm",
    "kilohm": "kiloohm", "kilohms": "kiloohm", "megohm": "megaohm", "megohms": "megaohm",
    "℃": "degC", "℉": "degF",
    "dioptre": "D", "dioptres": "D", "diopter": "D", "diopters": "D",
    "kmh": "km/h", "kph": "km/h", "kmph": "km/h", "mph": "mile/hour",
    "厘米": "cm", "毫米": "mm", "米": "m", "千米": "km", "公里": "km", "克": "g", "千克": "kg", "度": "°",
    "平方厘米": "cm^2", "平方米": "m^2", "立方厘米": "cm^3", "立方米": "m^3",
    "秒": "s", "分钟": "minute", "小时": "hour",
    "inches": "inch", "\"": "inch", "pounds": "pound",
    "kgs": "kg", "cms": "cm", "hrs": "hour", "mins": "minute", "secs": "second",
    "° c": "degC", "°c": "degC", "° f": "degF", "°f": "degF",
}  # fmt: skip
_SHORT = "m g s h d l L t A V W J N K C F T H B k M"
_PAIRS = (
    "cm mm km dm nm um kg mg ug ml mL cl cL dl dL kl kL hr yr mi ft in yd lb oz pt qt Hz Pa eV kJ MJ kW MW mW GW kN kV"
    " mV mA kA ms ns us GB MB KB kB TB cc pH pp dB cd ha lm lx Wb Gy Sv pF nF AU ly AD CE"
)
_SYMBOLS = frozenset(f"{_SHORT} {_PAIRS}".split())
"""Units of one and two letters. pint knows more, such as `ab` for attobarn, which nobody means by `17ab`."""
_RAISED = re.compile(r"(?:\^\{?-?\d\}?|[²³])$")
_DIMENSION = re.compile(r"(?<=\w)\s+(?:old|tall|high|long|wide|deep|thick|away|apart)$", re.IGNORECASE)
"""Which way is measured: `15 years old`, `5 m tall`."""
_COMPARED = re.compile(
    r"\b(?:more|fewer|less|older|younger|taller|shorter|longer|higher|lower|larger|smaller|greater|heavier|lighter|earlier"
    r"|later|faster|slower|wider|cheaper)\b",
    re.IGNORECASE,
)
_OF_ONE = re.compile(r"^(?:of\s+)?an?\s+(?=\w)", re.IGNORECASE)
"""`half an hour`, `three quarters of a mile`."""
_BEHIND_VALUE = re.compile(r"(?P<value>.*(?:[\d)}\]]|π|\\pi))\s*(?P<unit>(?<![a-z])[A-Za-zµ].*)", re.DOTALL)
_UNITS = re.compile(r"(?:(?:square|sq\.?|cubic)\s+)?units?(?:\s*\^?\{?[23]\}?)?", re.IGNORECASE)
_FOR_PINT = re.compile(r"[A-Za-zµ°][A-Za-zµ°/*^ ().{}²³0-9·-]{0,39}")
_SQUARES = ((re.compile(r"\b(?:sq\.?|square)\s+(\w+)"), r"\1**2"), (re.compile(r"\b(?:cu\.?|cubic)\s+(\w+)"), r"\1**3"))

_AROUND_POWER = re.compile(r"\s*\*\*\s*")
# pint works out numbers as Python does, so a power of a power, as in `m^9^9^9`, would never end.
_POWER = re.compile(r"(?<!\))\*\*[+-]?\d{1,2}(?!\d|\.|\*\*)")


def same_unit(said: str, asked: str) -> bool:
    """Whether both name one unit: `$` and `dollars`, `cm²` and `cm^2`, `years` and `year`."""
    # The word is the currency's and the weight's, or degrees of a temperature: the unit that is asked for says which.
    names = {_name(said), _name(asked)}
    # Yen and yuan share the sign, and are not each other.
    if (
        names == {"pound", "£"}
        or (_name(said) == "°" and _name(asked) in ("degC", "degF"))
        or ("¥" in names and names <= {"¥", "JPY", "CNY"})
    ):
        return True
    return len(names) == 1 or factor(said, asked) == 1


def contradict(said: str, asked: str) -> bool:
    """Whether both are known units, and not the same one: `cm` and `kg`, `m` and `cm`. A unit nobody knows is none."""

    def known(unit: str) -> bool:
        # `C` may be Celsius, `k` a thousand.
        plain = len(unit) > 1 or unit in "mgs"
        return _name(unit) in (*_CURRENCIES.values(), "¢") or (plain and _parsed(_name(unit)) is not None)

    return known(said) and known(asked) and not same_unit(said, asked)


def same_kind(said: str, asked: str) -> bool:
    """Whether both measure one thing: `K` beside °C is kelvin, and no thousand."""
    first, second = _parsed(_name(said)), _parsed(_name(asked))
    return first is not None and second is not None and bool(first.dimensionality == second.dimensionality)


@lru_cache(maxsize=4096)
def factor(said: str, asked: str) -> Fraction | None:
    """What one `said` is in `asked`, or None when they measure different things or a unit is unknown.

    Scales with another zero (°C and °F) have no factor.
    """
    if _name(said) == "¢" and _name(asked) in ("$", "€"):
        return Fraction(1, 100)
    if _name(said) == "$" and _name(asked) == "¢":
        return Fraction(100)
    first, second = _parsed(_name(said)), _parsed(_name(asked))
    if first is None or second is None or first.dimensionality != second.dimensionality:
        return None
    try:
        # 0 °F is not 0 °C: between scales with another zero no factor converts.
        if abs(_registry().Quantity(0, first).to(second).magnitude) > 0:
            return None
        # Factors are floats to pint: 0.1 becomes 1/10 again, so that 10 cm are exactly 1 dm.
        return Fraction(_registry().Quantity(1, first).to(second).magnitude).limit_denominator(10**12)
    except Exception:  # pint raises its own, TypeError and others for units without a factor
        return None


def is_percent(unit: str) -> bool:
    """Whether a unit is the percent sign or its word."""
    return _name(unit) == "%"


def is_known(unit: str) -> bool:
    """Whether this is a unit to pint, and no word that only stands after a number."""
    return _parsed(_name(unit)) is not None


def is_variable(unit: str) -> bool:
    """Whether one or two letters are not a unit: `42x`, `3xy` and `r^2` are expressions, `5i` is not a real number."""
    letters = _RAISED.sub("", unit)
    if not (letters.isascii() and letters.isalpha()):
        return False
    return len(letters) <= 2 and letters not in _SYMBOLS


def compares(unit: str) -> bool:
    """Whether the words after a number say by how much something differs: `months older`, `cm taller`."""
    return _COMPARED.search(unit) is not None


def unit_behind(text: str) -> str:
    """`cm²` of `8√3 cm²`; empty where nothing stands after the value."""
    found = _BEHIND_VALUE.fullmatch(text)
    return found["unit"].strip().removeprefix("pi").strip() if found else ""


def without_unit(text: str, asked: str = "") -> str:
    """`8√3` of `8√3 cm²` and of `8√3 square units`: without a unit after a value that may be any expression.

    `asked`: the one unit that goes, where one is asked for.
    """
    found = _BEHIND_VALUE.fullmatch(text)
    if found is None:
        return text
    unit = found["unit"].strip()
    if asked:
        return found["value"] if same_unit(unit, asked) else text
    # A single letter after an expression may be a variable as well.
    known = _UNITS.fullmatch(unit) or (len(unit) > 1 and is_known(unit) and not is_variable(unit))
    return found["value"] if known else text


def without_same_unit(said: str, gold: str) -> tuple[str, str]:
    """Both without the unit that the reference has behind an expression with pi, and the response has or leaves out."""
    unit = unit_behind(gold) if "pi" in gold else ""
    told = unit_behind(said)
    if not unit or not is_known(unit) or not (told == "" or same_unit(told, unit)):
        return said, gold
    return said.removesuffix(told).strip(), gold.removesuffix(unit).strip()


def _name(unit: str) -> str:
    text = " ".join(unit.replace("{", "").replace("}", "").split()).strip("()").removesuffix(".")
    text = _OF_ONE.sub("", _DIMENSION.sub("", text))
    lowered = text.casefold()
    if known := _CURRENCIES.get(lowered) or _ALIKE.get(lowered):
        return known
    text = powers_written_out(text).replace("{", "").replace("}", "").replace("·", "*").replace(" per ", "/")
    text = re.sub(r"\s+squared\b", "^2", re.sub(r"\s+cubed\b", "^3", text))
    text = re.sub(r"(?<=[A-Za-z])([23])$", r"^\1", text)
    # Case carries meaning in symbols (mW and MW), not in words.
    return lowered.removesuffix("s") if text.isalpha() and len(text) > 3 else text


@lru_cache(maxsize=4096)
def _parsed(unit: str) -> Any:
    """The unit as pint has it; None for what it does not know."""
    # pint evaluates what it parses, so only short texts of letters, digits and unit signs reach it.
    if not _FOR_PINT.fullmatch(unit):
        return None
    for pattern, power in _SQUARES:
        unit = pattern.sub(power, unit)
    unit = _AROUND_POWER.sub("**", unit.replace("^", "**"))
    if unit.count("**") != len(_POWER.findall(unit)):
        return None
    try:
        return _registry().Unit(unit.replace("°", "degree"))
    except Exception:  # pint's parser raises many kinds for text that is not a unit
        return None


@cache
def _registry() -> Any:
    # Imported when two different units meet: pint takes two seconds to load its tables.
    import pint

    # Without a cache on the disk: services run on file systems that cannot be written.
    return pint.UnitRegistry(cache_folder=None)
