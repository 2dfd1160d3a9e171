r"""Blocks of a text that no step may be cut in: display mathematics, LaTeX environments and code fences.

A block goes from its opening mark to the mark that closes it: `$$` to the next `$$`, `\[` to the next `\]`,
`\begin{name}` to its own `\end{name}`, and a line that begins with three or more backticks or tildes to the next line
of just as many. Marks inside a block mean nothing. A mark that is never closed is ordinary text, so a response that is
cut off, or a stray `$$`, is cut into steps as if the mark were not there.
"""

import re
from bisect import bisect_right
from collections import defaultdict

_MARK = re.compile(
    r"^[^\S\n]*(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)$"
    r"|(?<!\\)(?:(?P<dollars>\$\$)|\\(?:(?P<open>\[)|(?P<close>\])|(?P<edge>begin|end)\{(?P<name>[^{}\n]*)\}))",
    re.MULTILINE,
)


def blocks(text: str) -> list[tuple[int, int]]:
    """Begin and end of each block, one after the other, in time linear in the text. Lines must end with a line feed."""
    marks = list(_MARK.finditer(text))
    # Ends are found for all marks at once, since a search from each opening mark takes quadratic time on `$$` by `$$`.
    closing = _closing(marks)
    found: list[tuple[int, int]] = []
    behind = 0
    for mark, close in zip(marks, closing, strict=True):
        if close is not None and mark.start() >= behind:
            behind = marks[close].end()
            found.append((mark.start(), behind))
    return found


def _closing(marks: list[re.Match[str]]) -> list[int | None]:
    """For each mark, which one closes the block that it may open; None: it opens none."""
    pairs: list[int | None] = [None] * len(marks)
    closers: dict[str, list[int]] = defaultdict(list)
    environments: dict[str, list[int]] = defaultdict(list)
    for place, mark in enumerate(marks):
        if mark["edge"] == "begin":
            # Environments of one name nest, so an end belongs to the last one that is open; other marks do not nest.
            environments[mark["name"]].append(place)
        elif mark["edge"] == "end":
            if environments[mark["name"]]:
                pairs[environments[mark["name"]].pop()] = place
        elif (kind := _closes(mark)) is not None:
            closers[kind].append(place)
    for place, mark in enumerate(marks):
        # A fence is closed by just as many signs of its kind here, so its text is the key.
        later = closers[mark["fence"] or ("\\]" if mark["open"] else "$$")]
        if not mark["edge"] and not mark["close"] and (next_one := bisect_right(later, place)) < len(later):
            pairs[place] = later[next_one]
    return pairs


def _closes(mark: re.Match[str]) -> str | None:
    """What kind of block the mark may close."""
    if mark["fence"]:
        return None if mark["info"].strip() else mark["fence"]
    return "$$" if mark["dollars"] else "\\]" if mark["close"] else None
