r"""Compares degrees with radians, `60°` for \frac{\pi}{3}, and reads ratios that figures name, `S_{ADE}/S_{ABC} = 1/4`.

What this leaves out: angles in one unit (`maths`), and ratios of words (`restated`).
"""

import re
from collections.abc import Iterator
from fractions import Fraction

from mstar.answers.marks import bare, without_latex_text

_ASKED = re.compile(r"\b(?:angle|argument|phase|rotation|turn)s?\b|∠|\\angle", re.IGNORECASE)
_RADIANS = re.compile(r"\bradians?\b|\brad\b", re.IGNORECASE)
_DEGREES = re.compile(r"(?P<value>-?\d{1,4}(?:\.\d{1,9})?)\s*(?:°|degrees?)")
_PI = r"\s*(?:\\pi|π)\s*"
_OF_PI = re.compile(
    rf"(?P<sign>-?)\s*(?:\\[dt]?frac\{{(?P<over>\d*){_PI}\}}\{{(?P<under>\d+)\}}"
    rf"|\\[dt]?frac\{{(?P<of>\d+)\}}\{{(?P<by>\d+)\}}{_PI}|(?P<times>\d*){_PI}(?:/\s*(?P<parts>\d+))?)"
)
"""`-\\frac{2\\pi}{3}`, `\\frac{2}{3}\\pi`, `2\\pi/3` and `\\pi`."""
_RATIO = re.compile(r"\bratio\s+of\b(?P<of>[^.?]+)", re.IGNORECASE)
_NAME = re.compile(r"(?<![A-Z])[A-Z]{2,5}(?![A-Za-z])")
_HEAD = re.compile(r"[\\A-Za-z_{}()\[\]\s$△/:]+")
_MEASURE = {"S": "area", "A": "area", "P": "perimeter", "V": "volume"}
_MEASURED = re.compile(r"(?<![A-Za-z])([SAPV])\s*[_(]")


def same_turn(said: str, gold: str, question: str) -> bool:
    """Whether degrees are the reference's radians, where an angle is asked for and no unit is named."""
    asked = _OF_PI.fullmatch(bare(gold).strip())
    if asked is None or not _ASKED.search(question) or _RADIANS.search(question):
        return False
    told = _DEGREES.fullmatch(without_latex_text(bare(said)).strip())
    over = asked["over"] or asked["of"] or asked["times"] or 1
    under = asked["under"] or asked["by"] or asked["parts"] or 1
    if told is None or not int(under):
        return False
    degrees = Fraction(180 * int(over), int(under))
    return Fraction(told["value"]) == (-degrees if asked["sign"] else degrees)


def answers_of_ratio(text: str, question: str) -> Iterator[str]:
    r"""`1/4` of `S_{ADE}/S_{ABC} = 1/4`, where the question asks for the ratio of ADE's area to that of ABC."""
    head, sign, value = text.strip("$ ").partition("=")
    asked = _RATIO.search(question)
    if not sign or asked is None or not _HEAD.fullmatch(head):
        return
    plain = re.sub(r"\\[dt]?frac|\\(?:triangle|text)", lambda found: "" if "frac" not in found[0] else " ", head)
    measures = {_MEASURE[letter] for letter in _MEASURED.findall(head)}
    divided = head.count("/") + head.count(":") + ("frac" in head)
    names = _NAME.findall(plain)
    same = len(names) == 2 and names == _NAME.findall(asked["of"])
    if divided == 1 and same and all(measure in asked["of"].casefold() for measure in measures):
        yield value.strip()
