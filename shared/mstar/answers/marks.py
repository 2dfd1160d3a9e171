r"""Takes off what models write around an answer: bold, dollars, boxes, quotes, LaTeX spacing, a lead-in sentence.

Only marks that carry no meaning go. What is left is compared by the rule of the answer's type.
"""

import re
import unicodedata
from functools import lru_cache

from mstar.answers.scripts import fractions_written_out, plain_signs

_WRAPS = (
    ("**", "**"), ("__", "__"), ("```", "```"), ("`", "`"), ("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"),
    ("*", "*"), ("\u00ab", "\u00bb"), ("\u300c", "\u300d"),
    ('"', '"'), ("'", "'"), ("\u201c", "\u201d"), ("\u2018", "\u2019"),
)  # fmt: skip
_COMMANDS = ("\\boxed{", "\\fbox{", "\\text{", "\\textbf{", "\\mathrm{", "\\mathbf{", "\\mbox{", "\\ce{")
_LEAD_IN = re.compile(
    r"(?:(?:so|thus|hence|therefore)\b,?\s*)?(?:(?:the|my|our)\s+)?(?:(?:final|correct|right)\s+)?"
    r"(?:(?:answer|option|choice)\s*(?:(?:is|=|:|\uff1a)\s*:?\s*|\s-\s+(?=[A-Za-z(]))"
    r"|(?:正确)?答案\s*(?:[是为]\s*)?[:\uff1a]?\s*|答えは\s*"
    r"|(?:die|la|le)\s+(?:(?:richtige|korrekte|bonne)\s+)?(?:antwort|réponse|respuesta)\s+(?:(?:correcta|correcte)\s+)?"
    r"(?:ist|lautet|est|es)\s*:?\s+)",
    re.IGNORECASE,
)
_LED_BY_TEXT = re.compile(r"\\text\{([^{}]*\b(?:is|are|equals)\s*:?\s*)\}")
"""`\\text{The answer is } 61`: the words are not part of the mathematics."""
_TEXT_COMMAND = re.compile(
    r"\\(?:text|textbf|mathrm|mathbf|mbox|textrm|operatorname|ce)\s*\{((?:[^{}]|\{[^{}]{0,9}\})*)\}"
)
"""With the braces of a power inside, as in `\\mathrm{m\\,s^{-2}}`."""
_SPACING = re.compile(r"(?<!\\)\\[,;:!> ]|~|\\quad|\\qquad|\\(?:left|right)(?![a-z])|\\displaystyle")
_EXPLAINS = re.compile(
    r"(?:because|since|as|explanation|reason|reasoning|this|that|note|here|for|i hope|let me know|feel free|if you)\b",
    re.IGNORECASE,
)
_RULED_OFF = re.compile(r"\s*\n\s*(?:-{3,}|\*{3,}|_{3,})\s*$")
"""The line across the page that closes a part in Markdown."""
_FORMULA_FIRST = re.compile(r"\A(?:\$([^$]+)\$|\\\(((?:(?!\\\)).)+)\\\))\s*([^\s$\\][^$\\]*)\Z")
_UNIT_LAST = re.compile(r"\A(-?[\d.,/]+)\s*\$([^$\d][^$]*)\$\Z")
_BLANK = re.compile(r"\n[^\S\n]*\n")
_HOPES = re.compile(r"(?<=\.)\s*I hope (?:it|this) is correct\.?$", re.IGNORECASE)
_SENTENCE = re.compile(
    r"(?:(?:it|this|that|they|there|he|she)(?:['\u2019]s|\s+(?:is|are|was|were))"
    r"|(?:it|they|he|she)\s+(?:looks?|seems?|appears?)(?:\s+(?:like|to\s+be))?"
    r"|(?:il|elle|ce)\s+est|c['\u2019]est|(?:er|sie|es|das)\s+ist"
    r"|(?:it|they|there|he|she|we|i)\s+(?:has|have|had)"
    r"|(?:it|they|this|that|he|she)\s+(?:will|would|must)(?:\s+be)?"
    r"|the\s+(?:(?!(?:not?|never|wrong|incorrect|false|other|opposite|except|than|is|are)\b)\$?\\?[\w'∠△-]+\$?\s+){1,6}?"
    r"(?:is|are|was|were|equals|measures))\s+(?:a\s+total\s+of\s+)?(?=\S)",
    re.IGNORECASE,
)
"""What a sentence puts before its answer: `It is …`, `The total is …`. A doubt after it stays, and is not an
answer."""

_LOW_DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_CHARGE = re.compile(r"(?<=[A-Za-z0-9)])(?:\^\{?(\d?[+-])\}?|([²³]?[⁺⁻]))(?!\s*[\w(])")
"""Of an ion: `Na^+`, `Ca²⁺`."""
_RAISED_CHARGE = str.maketrans("²³⁺⁻", "23+-")
_SCRIPT = re.compile("SUPERSCRIPT|SUBSCRIPT|CIRCLED")
_LOW_SIGNS = re.compile(r"(?<=[A-Za-z)])[₀-₉]+")


# Kept, since one check asks several times, and for each option of a choice anew.
@lru_cache(maxsize=4096)
def bare(text: str, *, sentences: bool = True) -> str:
    """The answer without the marks around it; the empty text stays empty.

    `sentences`: take off what a sentence puts before its answer as well.
    """
    # NFC keeps superscripts and fractions, which NFKC would turn into digits beside others.
    text = _HOPES.sub("", plain_signs(unicodedata.normalize("NFC", text)).strip().rstrip("✓✔✅☑\ufe0f "))
    text = words_led(text) if text.startswith("\\text{") else text
    while True:
        lead = _LEAD_IN.match(text) or (_SENTENCE.match(text) if sentences else None)
        # Again and again, since marks nest in any order: `**The answer is $\boxed{61}$.**`
        shorter = _unwrapped(text[lead.end() :] if lead else text)
        if shorter == text or not shorter:
            return text
        text = shorter


def words_led(text: str) -> str:
    r"""The text with its first `\text{… is}` written as plain words."""
    return _LED_BY_TEXT.sub(r"\1 ", text, count=1)


def out_of_dollars(text: str) -> str:
    r"""`5 cm` for `$5$ cm` and `\(5\) cm`: the text that a formula begins, without the marks around the formula."""
    text = _UNIT_LAST.sub(r"\1 \2", text)
    return _FORMULA_FIRST.sub(lambda found: f"{found[1] or found[2]} {found[3]}", text)


def first_answer(text: str) -> str:
    """The answer without paragraphs after it that explain it, `Because …`, or say it again."""
    text = _RULED_OFF.sub("", text)
    paragraphs = [part for part in _BLANK.split(text) if part.strip()]
    # `42`, blank line, `The total is 42.`
    if len(paragraphs) > 1 and len({bare(part) for part in paragraphs}) == 1:
        return paragraphs[0].strip()
    head, _, rest = text.partition("\n")
    return head.strip() if head.strip() and _EXPLAINS.match(rest.lstrip("#*_ \n")) else text


def without_latex_text(text: str) -> str:
    r"""Without LaTeX that only sets type: `5.2 \text{ cm}` → `5.2  cm`, `1{,}200` → `1,200`, `45^\circ` → `45°`."""
    text = _SPACING.sub(" ", text.replace("{,}", ","))
    text = (
        re.sub(r"\^\s*\{?\s*\\circ\s*\}?", "°", text).replace("\\degree", "°").replace("\\%", "%").replace("\\$", "$")
    )
    text = re.sub(r"\\Omega(?![A-Za-z])", "Ω", re.sub(r"\\mu(?![A-Za-z])", "µ", text))
    # Commands nest; each round takes off the innermost, whose braces hold none.
    while (plain := _TEXT_COMMAND.sub(r"\1", text)) != text:
        text = plain
    return text


def spaced_once(text: str) -> str:
    """The bare answer in its own case, with single spaces."""
    return " ".join(bare(text).split())


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Text as it is compared: NFKC, case folded, white space joined, no final full stop, no quotes around."""
    text = (
        " ".join(_low(without_latex_text(fractions_written_out(bare(text)))).split()).casefold().replace("\u2019", "'")
    )
    return unicodedata.normalize("NFKC", _spaced_unit(text)) if not _has_script(text) else _spaced_unit(text)


def _low(text: str) -> str:
    """`CO₂`, `CO_2` and `CO_{2}` as `CO2`. After a digit a low digit names a base, and stays."""
    text = _LOW_SIGNS.sub(lambda run: run[0].translate(_LOW_DIGITS), text)
    text = _CHARGE.sub(lambda match: (match[1] or match[2]).translate(_RAISED_CHARGE), text)
    return re.sub(r"(?<=[A-Za-z)])_(?:(\d)|\{(\d+)\})", lambda match: match[1] or match[2], text)


def _has_script(text: str) -> bool:
    """Whether NFKC would change meaning: a superscript turned into a digit (2³ into 23), or ①③ into 13."""
    return any(_SCRIPT.search(unicodedata.name(sign, "")) for sign in text)


def _spaced_unit(text: str) -> str:
    """`12cm` and `12 cm` alike."""
    return re.sub(r"(?<=\d)\s+(?!(?:or|and|to|of)\b)(?=[^\W\d_]|[°%])", "", text)


def _unwrapped(text: str) -> str:
    text = text.strip()
    # An ellipsis is an answer that was not finished.
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].rstrip()
    for start, end in _WRAPS:
        inner = text[len(start) : -len(end)]
        # With the mark inside as well these are two wrapped parts, `$a$ or $b$`, and no wrap around the whole.
        if len(text) > len(start) + len(end) and text.startswith(start) and text.endswith(end) and start not in inner:
            return inner.strip()
    for start in _COMMANDS:
        if text.startswith(start) and text.endswith("}") and _closes_last(text, len(start) - 1):
            return text[len(start) : -1].strip()
    return text


def _closes_last(text: str, opening: int) -> bool:
    """Whether the brace at `opening` is closed by the last character."""
    depth = 0
    for place in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place == len(text) - 1
    return False
