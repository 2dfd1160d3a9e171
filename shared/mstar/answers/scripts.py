"""Signs that other languages and typesetters write for the ones that the readers know.

Full-width and Arabic digits, thin spaces, `½`, `10⁻³`: each has one plain form. Nothing that carries meaning goes: a
superscript becomes a power, never a digit beside others.
"""

import re
import unicodedata
from functools import lru_cache

_SIGNS = {
    "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{NON-BREAKING HYPHEN}": "-", "\N{HYPHEN}": "-",
    "\u00a0": " ", "\u2007": " ", "\u2008": " ", "\u2009": " ", "\u200a": " ", "\u202f": " ", "\u3000": " ",
    "\N{RATIO}": ":", "\N{FRACTION SLASH}": "/", "\N{DIVISION SLASH}": "/",
    "\N{DEGREE CELSIUS}": "°C", "\N{DEGREE FAHRENHEIT}": "°F", "\N{MASCULINE ORDINAL INDICATOR}": "°",
    "\N{RING ABOVE}": "°", "\N{LEFT BLACK LENTICULAR BRACKET}": "[", "\N{RIGHT BLACK LENTICULAR BRACKET}": "]",
    "\N{IDEOGRAPHIC COMMA}": ",", "\N{IDEOGRAPHIC FULL STOP}": ".", "\N{GREEK SMALL LETTER MU}": "µ",
}  # fmt: skip
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-", strict=True))
_POWER = re.compile(rf"[{''.join(_RAISED)}]+")
_VULGAR = re.compile(r"(?P<whole>\d?)(?P<space>\s*)(?P<sign>[¼½¾⅐-⅞])")
_COMMANDS = {
    "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥", "neq": "≠", "ne": "≠", "lt": "<", "gt": ">", "pm": "±",
    "times": "×", "cdot": "·", "pi": "π", "theta": "θ", "alpha": "α", "beta": "β", "infty": "∞", "cup": "∪",
    "cap": "∩", "approx": "≈", "parallel": "∥", "perp": "⊥", "angle": "∠", "triangle": "△", "sim": "∼", "cong": "≅",
}  # fmt: skip
_COMMAND = re.compile(rf"\\({'|'.join(_COMMANDS)})(?![A-Za-z])\s*")
_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{\s*(-?[\wπ√]+)\s*\}\s*\{\s*([\wπ√]+)\s*\}|(\d)\s*(\d))")
_ROOT = re.compile(r"\\sqrt\s*(?:\{\s*(\w+)\s*\}|(\d))")
_TYPED_ROOT = re.compile(r"(?<![a-z\\])sqrt\s*\(\s*(\w+)\s*\)")
_FUNCTION = re.compile(r"\\?\b(sin|cos|tan|cot|sec|csc|log|ln)\s*(?:\(\s*(\w+°?)\s*\)|(?=[\w°]))")
_MATH_MODE = re.compile(r"\$([^$]*)\$")
_FULL_WIDTH = range(0xFF01, 0xFF5F)


def plain_signs(text: str) -> str:
    """The text in ASCII digits, letters, brackets and spaces, where it has others for them."""
    # Nearly all answers are ASCII, and this runs for every one of them.
    return text if text.isascii() else "".join(map(_plain, text))


def _plain(sign: str) -> str:
    if sign in _SIGNS:
        return _SIGNS[sign]
    if ord(sign) in _FULL_WIDTH:
        return chr(ord(sign) - 0xFEE0)
    # Decimal digits of any script; superscripts are digits to Unicode and no decimals.
    digit = unicodedata.decimal(sign, None)
    return sign if digit is None else str(digit)


@lru_cache(maxsize=4096)
def signs(text: str) -> str:
    r"""`\geq` as `≥`, `\pi` as `π`, `\frac{1}{3}` as `1/3`, `\sqrt{2}` as `√2`, without white space around signs.

    Dollars around math go; the sign of a currency stays.
    """
    text = _COMMAND.sub(lambda match: _COMMANDS[match[1]], _MATH_MODE.sub(r"\1", text))
    text = _ROOT.sub(lambda match: f"√{match[1] or match[2]}", _TYPED_ROOT.sub(r"√\1", text))
    text = _FUNCTION.sub(lambda match: f"{match[1]} {match[2] or ''}", text.replace(">=", "≥").replace("<=", "≤"))
    text = re.sub(r"(?<=\d)\s*pi\b", "π", text)
    text = powers_written_out(_FRACTION.sub(lambda parts: "/".join(part for part in parts.groups() if part), text))
    if "^" in text:
        text = text.replace("{", "").replace("}", "")
    return re.sub(r"\s*([=<>≤≥≠±π√∪∩∥⊥°%+×·:,;()\[\]])\s*", r"\1", text).strip()


def powers_written_out(text: str) -> str:
    """`10⁻³` as `10^{-3}`, `x²` as `x^{2}`."""
    return _POWER.sub(lambda run: "^{" + "".join(map(_RAISED.__getitem__, run[0])) + "}", text)


def fractions_written_out(text: str, form: str = "{over}/{under}") -> str:
    """`½` as `1/2`, `1½` as `1 1/2`; or in another form."""

    def written(match: re.Match[str]) -> str:
        over, _, under = unicodedata.normalize("NFKC", match["sign"]).partition("\N{FRACTION SLASH}")
        gap = " " if match["whole"] else match["space"]
        return match["whole"] + gap + form.format(over=over, under=under)

    return _VULGAR.sub(written, text)
