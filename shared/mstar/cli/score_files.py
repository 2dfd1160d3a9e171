"""What `mstar score` has written already, so that it can continue, and which responses it keeps.

Every output line has an id, made of its input line and of the options that change what is written for it. So a changed
line, or the same file with other options, is scored anew.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mstar.api.prm import ScoredResponse
from mstar.errors import InvalidInput

LINE_ID = "line_id"


def line_ids(lines: Iterable[str], options: str) -> list[str]:
    """An id for each line. Equal lines have different ones, in their order."""
    seen: Counter[str] = Counter()
    found = []
    for line in lines:
        seen[line] += 1
        # JSON, so that no options and line can spell another pair.
        text = json.dumps([options, line, seen[line]])
        found.append(hashlib.sha256(text.encode()).hexdigest()[:16])
    return found


def continued(out: Path, ids: Iterable[str]) -> dict[str, str | None]:
    """Id → model version of the lines that need not be scored again; `out` holds only these from now on.

    A line that a crash has cut off is dropped, as is what belongs to no line of the input. Without any line to keep the
    file is left as it is. Raises InvalidInput where it cannot be read or written.
    """
    wanted = set(ids)
    kept: dict[str, tuple[str, str | None]] = {}
    try:
        if not out.is_file():
            return {}
        for line in out.read_text(encoding="utf-8", errors="replace").split("\n"):
            row = _row(line)
            if row.get(LINE_ID) in wanted and isinstance(row.get("results"), list):
                # The first of two: a command that was killed while it wrote again may have left both.
                kept.setdefault(str(row[LINE_ID]), (line, row.get("model_version")))
        if kept:
            beside = out.with_name(f"{out.name}.new")
            beside.write_text("".join(f"{line}\n" for line, _ in kept.values()), encoding="utf-8")
            # One rename, so that a kill leaves either the old file or the new one.
            os.replace(beside, out)
    except OSError as error:
        raise InvalidInput(f"{out} cannot be continued: {error.strerror}", field="out") from error
    return {one: version for one, (_, version) in kept.items()}


def best(
    results: Iterable[ScoredResponse], keep_top: int | None, min_score: float | None
) -> list[ScoredResponse] | None:
    """The results to keep, best first; None where no option asks for a choice. What has no score is not kept."""
    if keep_top is None and min_score is None:
        return None
    scored = [one for one in results if one.error is None and (min_score is None or one.score >= min_score)]
    return sorted(scored, key=lambda one: -one.score)[:keep_top]


def _row(line: str) -> dict[str, Any]:
    """The object on a line; empty for anything else, such as half a line."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}
