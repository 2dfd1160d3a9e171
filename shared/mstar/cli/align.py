"""`mstar doctor --align MODEL`: asks policy, PRM and trainer how they see a model, each in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.table import Table

from mstar.alignment import AlignmentRow, ResponseView, ServiceView, compare
from mstar.cli.output import console, print_json, progress_console
from mstar.errors import InvalidInput

SECONDS = 900
"""How long one service may take to load the model and look: vLLM takes minutes to start."""


def align(model: Path, *, as_json: bool) -> bool:
    """Show the views side by side; returns whether all is equal. Raises InvalidInput for a folder that is not there."""
    if not (model / "config.json").is_file():
        raise InvalidInput(f"{model} is not a model folder: it holds no config.json", field="align")
    views = []
    for view in _views(model.absolute()):
        views.append(view)
        # Each part loads the model, which takes minutes on a slow machine.
        progress_console.print(f"{view.who}: {view.error or 'done'}")
    lines = compare(views)
    if as_json:
        print_json({"model": str(model), "lines": [line.model_dump() for line in lines]})
    else:
        _show(lines, [view.who for view in views])
    return all(line.equal for line in lines)


def _views(model: Path) -> Iterator[ServiceView]:
    engines = ("transformers", *(("vllm",) if find_spec("vllm") else ()))
    # What the policies sample goes to the trainer, which says how likely it holds each token: so it is asked last.
    responses: list[ResponseView] = []
    for engine in engines:
        view = _ask(f"policy ({engine})", "mstar_policy.align", [str(model), engine])
        responses += view.responses
        yield view
    yield _ask("PRM", "mstar_prm.align", [str(model)])
    said = json.dumps([one.model_dump(mode="json") for one in responses])
    yield _ask("trainer", "mstar_trainer.align", [str(model)], said)


def _ask(who: str, module: str, arguments: Sequence[str], said: str = "") -> ServiceView:
    """What a service sees, or why it does not."""
    if find_spec(module.partition(".")[0]) is None:
        return ServiceView(who=who, error="not installed here")
    command = [sys.executable, "-m", module, *arguments]
    try:
        # A process for each service, one after the other: every one loads the model, and their memory must not add up.
        done = subprocess.run(command, input=said, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return ServiceView(who=who, error=f"no answer within {SECONDS} s")
    # The last line: libraries print what they like while a model loads.
    *_, last = ["", *done.stdout.strip().splitlines()]
    if done.returncode or not last:
        *_, reason = ["it ended without any output", *done.stderr.strip().splitlines()]
        return ServiceView(who=who, error=reason[:300])
    return ServiceView.model_validate_json(last)


def _show(lines: Sequence[AlignmentRow], names: Sequence[str]) -> None:
    table = Table("", *names, "equal", box=None, pad_edge=False)
    for line in lines:
        table.add_row(line.what, *(line.cells.get(name, "-") for name in names), "yes" if line.equal else "NO")
    console.print(table)
    for line in lines:
        if line.detail:
            console.print(f"{line.what}: {line.detail}")
