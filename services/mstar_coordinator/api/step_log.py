"""The last lines that a worker wrote while it did a step, from the log files of `mstar up`. Secrets are hidden again.

Elsewhere workers write to their standard error, which the container engine keeps; there is nothing here then. What this
leaves out: the events of a step, which are in the database.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from mstar_web.logs import hidden

READ = 4 * 2**20
"""Bytes from the end of each file in which a step is looked for."""
LINES = 60
MOST = 2000
"""Characters of a line that are shown."""
OUTSIDE = ("coordinator.log", "policy.log", "prm.log", "broker.log")
"""Logs of services, which do requests of many steps at once."""


def step_log(folder: Path, run_id: str, step: str) -> tuple[str, ...]:
    """Lines from the step's last claim to its end, the newest `LINES`; empty where no file knows the step."""
    for path in sorted(folder.glob("*.log")) if folder.is_dir() else ():
        if path.name not in OUTSIDE and (found := step_lines(_lines(path), run_id, step)):
            return found
    return ()


def step_lines(lines: Iterable[str], run_id: str, step: str) -> tuple[str, ...]:
    """Lines of one worker, which does one step at a time: from the last claim of this step to that of another."""
    found: list[str] = []
    inside = False
    for line in lines:
        said = _read(line)
        # What `mstar_worker.lease` logs when it begins a step.
        if said.get("event") == "step claimed":
            inside = (said.get("run"), said.get("step")) == (run_id, step)
            found = [] if inside else found
        if inside and line.strip():
            found.append(_shown(line, said))
    return tuple(found[-LINES:])


def _lines(log: Path) -> list[str]:
    """The last lines of a log, and before them those of the file that it was before `mstar up` began it anew."""
    before = log.with_name(f"{log.name}.1")
    return [line for path in (before, log) if path.is_file() for line in _tail(path).splitlines()]


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        # The first line may be cut in two; its rest is not JSON, and belongs to no step.
        file.seek(max(0, path.stat().st_size - READ))
        return file.read(READ).decode(errors="replace")


def _read(line: str) -> dict[str, object]:
    """The values of a JSON line; none of any other, such as a line of a trace."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _shown(line: str, said: dict[str, object]) -> str:
    """Time, level and text first, then what else the line has."""
    if not said:
        return hidden(line)[:MOST]
    head = [str(said.pop(name)) for name in ("timestamp", "level", "event") if name in said]
    rest = [f"{key}={value}" for key, value in said.items() if key not in ("logger", "service", "run", "step")]
    return hidden(" ".join((*head, *rest)))[:MOST]
