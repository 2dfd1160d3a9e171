r"""Finds what a response concludes from the work or the words in front of it.

`\sin A = \frac{BC}{AB} = \frac{3}{5}` says that sin A is 3/5, and `It is photosynthesis, so (B)` says B. What this
leaves out: whether the conclusion is right, and the work in between.
"""

import re

_LONGEST = 500
"""Characters; the patterns take quadratic time, and what is longer is not a bare answer."""
_SEVERAL = re.compile(r"[,;]|\\\\|\b(?:or|and)\b|\\(?:text|mathrm)\{\s*(?:or|and)|[<>≤≥≠]|\\[lg]eq?\b|\n\s*\n")
"""Signs between two equations or more."""
_WORK = re.compile(
    r"(?:[\d\s.,+*/×÷·^!°$%_−²³½¼¾⅓⅔(){}\[\]|√π∠△-]|\\[A-Za-z]+|\\[,;:! ]|(?<![A-Za-z])[A-Za-z]{1,4}(?![A-Za-z]))+"
)
"""Formulas without words."""
_CONCLUDED = re.compile(
    r"(?P<head>.*\w[^\s]*?)(?:\s*[:.]\s+|(?:\s*[,;:.])?\s+(?:and\s+)?"
    r"(?:(?:so|therefore|thus|hence|→|=>|⇒)\s*,?|(?:which|this)\s+(?:is|means|makes\s+it|corresponds\s+to|matches))\s+)"
    r"(?:(?:it\s+is|it['\u2019]s|i\s+choose)\s+)?(?:the\s+)?(?:(?:correct|right|best|final)\s+)?(?:(?:answer|option|choice)\s*)?"
    r"(?:(?:is|would\s+be|must\s+be)\s+)?:?\s*(?:option\s+)?(?:\((?P<bracketed>[A-Z])\)|(?P<bare>[A-Z])(?=[.):]?$))[.):]?",
    re.DOTALL | re.IGNORECASE,
)
_UNDECIDED = re.compile(r"\b(?:or|maybe|perhaps|either|neither|unsure|sure|guess|wrong|incorrect)\b", re.IGNORECASE)
_LETTER = re.compile(r"\b([A-Z])\b(?!\s+[a-z])|\b(?i:answer|option|choice)\b|\n\s*\n")
"""Another letter in front, or another answer; `A plant` has an article."""
_FORMULA = re.compile(r"\$[^$]*\$|\\\(.*?\\\)|[∠△]\s*\w+")
_SO = re.compile(r"\$?\s*[,;.]?\s*\$?\s*(?:\b(?:so|thus|hence|therefore)\b,?|⇒|\\Rightarrow|\\implies)\s+(?=\S)")
_ROUNDED = re.compile(r"(?P<work>.*?)(?:≈|\\approx(?![A-Za-z]))(?P<value>[^≈]+)", re.DOTALL)
_LETTER_IN = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")
_DENIES = re.compile(r"\b(?:not|no|never|cannot)\b|n['\u2019]t\b", re.IGNORECASE)
_WORDS = re.compile(r"[^\W_]+")
_SMALL = {"the", "and", "are", "was", "for", "its", "not", "has", "have", "with", "from", "than", "that", "this", "all"}


def conclusion_of(text: str) -> str:
    r"""`\sin A = \frac{3}{5}` of `\sin A = \frac{BC}{AB} = \frac{3}{5}`, `AC = 5` of `AC^2 = 25, so AC = 5`.

    Any other text as it is.
    """
    if len(text) > _LONGEST:
        return text
    *work, last = _SO.split(text)
    if work and last.count("=") == 1 and not _UNDECIDED.search(text) and not _DENIES.search(text):
        text = f"${last}" if last.count("$") % 2 else last
    parts = text.split("=")
    if _SEVERAL.search(text) or not all(_WORK.fullmatch(part) for part in parts[1:-1]):
        return text
    # `C = 2\pi r ≈ 12.57`: with a letter in it, what is rounded is not an exact value.
    rounded = _ROUNDED.fullmatch(parts[-1]) if len(parts) > 1 else None
    if rounded and _LETTER_IN.search(rounded["work"]):
        return f"{parts[0].rstrip()} = {rounded['value']}"
    return text if len(parts) < 3 else f"{parts[0].rstrip()} = {parts[-1].lstrip()}"


def concluded_letter(said: str, options: dict[str, str]) -> str | None:
    """The letter after `so`, where the words in front of it name no other option; None without one."""
    found = _CONCLUDED.fullmatch(said) if len(said) <= _LONGEST else None
    letter = (found["bracketed"] or found["bare"]) if found else None
    if found is None or letter not in options or _UNDECIDED.search(found["head"]):
        return None
    if any(mark[1] != letter for mark in _LETTER.finditer(_FORMULA.sub("", found["head"]))):
        return None
    head, own = telling_words(found["head"]), telling_words(options[letter])
    others = set().union(*(telling_words(text) for other, text in options.items() if other != letter)) - own
    if not own.isdisjoint(head) and _first(found["head"], own) < _first(found["head"], others):
        others = set()  # `The mouse eats the grass, so (B)`
    denied = _DENIES.search(found["head"]) is not None and not own.isdisjoint(head)
    return letter if others.isdisjoint(head) and not denied else None


def _first(text: str, words: set[str]) -> int:
    """Where the first of some words stands in a text; behind its end for none."""
    found = (place for place, word in enumerate(_WORDS.findall(text)) if word.casefold() in words)
    return min(found, default=len(text))


def telling_words(text: str) -> set[str]:
    """Words and numbers that tell options apart; in front of a letter, `B` may be another option."""
    found = _WORDS.findall(text.replace("'s", ""))
    return {word.casefold() for word in found if len(word) > 2 or word.isdigit() or word.isupper()} - _SMALL
