r"""Finds an answer without a heading: "The answer is …", one `\boxed{…}` or `<answer>`. Off in training."""

import re

from mstar.answers.find import boxes, tags
from mstar.answers.marks import words_led

_SAID = re.compile(
    r"(?:(?:final\s+|correct\s+)?answer|(?:correct|right|best)\s+(?:option|choice))\s+is\s*(?::\s*)?(?P<answer>\\\[[^\]]+\\\]|\$\$[^$]+\$\$|[^\n]+)"
    r"|答案(?:是|为)\s*(?:[:：]\s*)?(?P<other>[^\n]+)",
    re.IGNORECASE,
)


def answer_in_sentence(text: str) -> str | None:
    """The one answer that the text states in words or boxes; None when it states none, or two that differ."""
    found = {held for _, _, held in boxes(text) or tags(text)} or {
        _ended(match["answer"] or match["other"]) for match in _SAID.finditer(words_led(text))
    }
    return found.pop() if len(found) == 1 else None


def _ended(answer: str) -> str:
    """Without the full stop and the bold that the whole sentence has around it."""
    answer = answer.strip().rstrip(".。").strip()
    return answer if answer.count("**") % 2 == 0 else answer.removesuffix("**").rstrip(".。 ")
