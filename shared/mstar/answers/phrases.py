"""Compares texts: equal words in another case, and dates, times, ratios, ranges and counts by what they name.

Options of choices and references of the type text are compared here alike. What this leaves out: synonyms, plurals
and parts of a name, which stay different answers.
"""

import re

from mstar.answers.marks import bare, plain
from mstar.answers.numbers import read_number
from mstar.answers.quantities import same_compound
from mstar.answers.rule import DEFAULT_RULE
from mstar.answers.texts import canonical, means, named_figure, same_place
from mstar.answers.times import same_duration, same_moment

_ARTICLE = re.compile(r"(?:the|a|an)\s+(?=\S)")
_THE_ONE = re.compile(r"the\s+(.+)\s+one")
_YES_NO = re.compile(r"(yes|no|true|false)\b[,.!]\s+(?P<rest>\S.*)")
_TURNS = re.compile(r"\b(?:yes|no|but|wait|actually|however|unless|not sure|true|false|maybe|except)\b")
"""Words behind a yes or no that take it back."""
_RANGE = re.compile(r"(?:(?:from|between)\s+)?(-?[\d.,]+)\s*(?:-|\u2014|to\b|and\b)\s*(-?[\d.,]+)(.*)")
_HYPHEN = re.compile(r"(?<=[a-z])-(?=[a-z])")
_RATIO = re.compile(r"[\d,]+(?:\s*:\s*[\d,]+)+")


def same_text(said: str, gold: str) -> bool:
    """Whether both say one thing, without an article in front; `Yes, it is.` is yes."""
    one, other = canonical(plain(_shouted(said))), canonical(plain(gold))
    # Only for a reference that is yes or no: elsewhere the words behind the comma are the answer.
    if other in ("yes", "no", "true", "false") and (led := _YES_NO.fullmatch(one)) and not _TURNS.search(led["rest"]):
        one = led[1]
    if same_moment(bare(said), bare(gold)) or same_duration(one, other) or same_compound(one, other):
        return True
    if named_figure(bare(said), bare(gold)):
        return True
    asked, told = _RANGE.fullmatch(other), _RANGE.fullmatch(one)
    if asked and told:
        return asked.groups() == told.groups()
    if _RATIO.fullmatch(other) and (parts := _ratio(one)):
        return parts == _ratio(other)
    one, other = (_ARTICLE.sub("", text, count=1) for text in (_THE_ONE.sub(r"\1", one), other))
    if _HYPHEN.sub("", plain(said)) == _HYPHEN.sub("", plain(gold)):
        return True
    return one == other or means(one, other) or same_place(one, other) or _same_count(one, other)


def _same_count(said: str, gold: str) -> bool:
    """`2` for two."""
    asked = read_number(gold, DEFAULT_RULE) if gold.replace("-", " ").replace(" ", "").isalpha() else None
    told = read_number(said, DEFAULT_RULE) if asked is not None and not asked.unit else None
    return told is not None and asked is not None and not told.unit and told.value == asked.value


def _ratio(text: str) -> list[str]:
    """Parts of `2:3`, `2 to 3 to 4` or `1 : 50,000`; empty for anything else."""
    parts = re.split(r"\s*(?::|/|to\b)\s*", re.sub(r"(?<=\d)[, ](?=\d{3}\b)", "", text))
    return parts if len(parts) > 1 and all(part.isdigit() for part in parts) else []


def _shouted(text: str) -> str:
    """Without exclamation marks behind a word; behind a number they are a factorial."""
    return re.sub(r"(?<=[^\W\d_])!+\s*$", "", text.strip())
