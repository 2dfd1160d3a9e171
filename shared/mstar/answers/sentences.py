r"""Finds an answer where a response has no heading: "The answer is …" or one `\boxed{…}`. Off in training."""

import re

_SAID = re.compile(
    r"(?:the\s+)?(?:final\s+|correct\s+)?answer\s+is\s*:?\s*(?P<answer>[^\n]+)|答案(?:是|为)\s*[:：]?\s*(?P<other>[^\n]+)",
    re.IGNORECASE,
)
_BOX = re.compile(r"\\boxed\s*\{")


def answer_in_sentence(text: str) -> str | None:
    """The one answer that the text states in words or boxes; None when it states none, or two that differ."""
    found = {box.strip() for box in _boxes(text)} or {
        (match["answer"] or match["other"]).strip().rstrip(".。").strip() for match in _SAID.finditer(text)
    }
    return found.pop() if len(found) == 1 else None


def _boxes(text: str) -> list[str]:
    """The contents of every box, with braces inside."""
    contents = []
    for match in _BOX.finditer(text):
        depth = 1
        for place in range(match.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if depth == 0:
                contents.append(text[match.end() : place])
                break
    return contents
