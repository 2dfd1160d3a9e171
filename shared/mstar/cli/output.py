"""What the commands print: results as a table, a run's progress as it goes, or JSON."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from mstar.api.runs import Run
from mstar.control_characters import ESCAPES, PICTURES
from mstar.errors import Conflict, Unavailable
from mstar.evolution import RunState
from mstar.outcomes import counted
from mstar.results import RunResults


class SafeConsole(Console):
    """A console that shows every text as it is, and control characters as pictures of them.

    Nothing in a text is markup: models, data sets, servers and logs write what is printed here, and `[/tmp]` in it
    would end the command. What is to have a style gets it as `style` or as a `Text`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False} | options)

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich does, but a line of text stays one: a path or a command that is cut in two cannot be copied."""
        texts = all(isinstance(one, str | Text) for one in objects)
        super().print(*objects, **{"soft_wrap": texts} | options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does; what the terminal is to obey comes as control segments or as styles, never as text."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(part.text.translate(PICTURES), part.style)


console = SafeConsole()
progress_console = SafeConsole(stderr=True)
"""Progress goes to standard error, so that `--json` leaves pure JSON on standard output."""
POLL_SECONDS = 0.5
PATIENCE_SECONDS = 300.0
"""How long a server may be away while a run is followed: a pod that moves pulls its image first."""
LONGEST_PAUSE = 5.0
PLAIN_SECONDS = 5.0
NARROW_COLUMNS = 60
"""Below this the bar gives way, so that the numbers stay."""
ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


def program() -> str:
    """How to type this program here: by its name where the shell finds it, else by its path (`.venv/bin/mstar`)."""
    # What is printed is there to be copied, so it must work in the shell as it is.
    started = Path(sys.argv[0])
    if started.name != "mstar" or shutil.which("mstar") is not None:
        return "mstar"
    inside = started.is_absolute() and started.is_relative_to(Path.cwd())
    return str(started.relative_to(Path.cwd()) if inside else started)


def print_json(value: BaseModel | dict[str, Any] | list[Any]) -> None:
    """JSON on standard output, and nothing else."""
    data = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    print(json_text(data, indent=2))


def json_text(data: Any, indent: int | None = None) -> str:
    """JSON that a person can read and a terminal does not obey."""
    return json.dumps(data, indent=indent, ensure_ascii=False).translate(ESCAPES)


def results_table(results: RunResults) -> Table:
    """Base, warm-up and every iteration: T, greedy on the tests, Pass@K, Reward-Pass@2, in percent."""
    k, sets = results.recipe.evaluation.k, tuple(results.recipe.evaluation.sets)
    table = Table(title=f"{results.name} · {results.id} · {results.state.value}", title_justify="left")
    narrow = console.width < NARROW_COLUMNS
    if narrow:
        # Numbers that wrap can't be read; words can.
        table.pad_edge, table.padding, table.show_edge = False, (0, 1, 0, 0), False
    table.add_column("policy", overflow="fold")
    for name in ("T", "greedy ID", "greedy OOD", *sets, f"Pass@{k}", "Reward-Pass@2", "kept"):
        table.add_column(name.replace("-", " ").replace("@", " @") if narrow else name, justify="right")
    for name, label in (("base", "base"), ("warmup", "warm-up")):
        if name in results.test:
            made = results.test[name]
            tests = (made.id, made.ood, *map(made.sets.get, sets))
            table.add_row(label, "", *map(_percent, (*tests, made.pass_at_k, made.reward_pass_at_2)), "")
    for one in results.iterations:
        numbers = (one.greedy, one.ood, *map(one.sets.get, sets), one.pass_at_k, one.reward_pass_at_2)
        table.add_row(
            f"it {one.index}" if narrow else f"iteration {one.index}",
            f"{one.temperature:g}",
            *map(_percent, numbers),
            str(one.kept),
        )
    return table


def outcome_lines(results: RunResults) -> Iterator[str]:
    """For each phase what became of its responses, where some have no answer that can be read or were skipped."""
    recipe = results.recipe
    for phase, seen in results.outcomes.items():
        if seen.no_answer + seen.cut_off + seen.unreadable + seen.skipped:
            yield f"{phase}: {counted(seen, recipe.form.answer, recipe.generation.max_tokens)}."


def unscored_lines(results: RunResults) -> Iterator[str]:
    """For each phase the responses that the PRM did not take, where there are any."""
    for phase, one in results.unscored.items():
        yield f"{phase}: {one.responses} responses have no PRM score, such as to {', '.join(one.questions)}."


def gain(results: RunResults) -> str:
    """How the last policy compares with the warm-up, in a sentence."""
    first, last = results.test.get("warmup") or results.test.get("base"), results.test.get("final")
    if first is None or last is None:
        return ""
    return (
        f"Greedy accuracy on unseen questions: {_percent(first.id)} % after warm-up, {_percent(last.id)} % now "
        f"({100 * (last.id - first.id):+.1f} points)."
    )


def require_success(run: Run) -> None:
    """Raises Unavailable or Conflict, with what to do, where a run that was followed has not succeeded."""
    if run.state is RunState.PAUSED:
        raise Conflict(f"run {run.id} is paused: `{program()} run resume {run.id}` continues it")
    if run.state is RunState.CANCELLED:
        raise Conflict(f"run {run.id} was cancelled")
    if run.state is not RunState.SUCCEEDED:
        raise Unavailable(f"run {run.id} {run.state.value}: {run.error or 'see its events'}")


def show_results(results: RunResults) -> None:
    """Print the table of a run and what it has gained, or that nothing was measured yet."""
    console.print(results_table(results))
    if not results.test and not results.iterations:
        console.print("no policy has been measured yet")
    if said := gain(results):
        console.print(said)


def left_out(results: RunResults) -> str:
    """Which questions the run is done without, in a line; empty where there is none."""
    names = ", ".join(one.question for one in results.quarantined)
    return f"Left out, since they crash every worker that works on them: {names}" if names else ""


@contextmanager
def byte_progress(title: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar of bytes while the block runs, on a terminal; gives what is to be told of bytes that came."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    hidden = quiet or not progress_console.is_terminal
    with Progress(*columns, console=progress_console, disable=hidden) as progress:
        task = progress.add_task(title, total=total or None)
        yield lambda count: progress.advance(task, count)


def follow(read: Callable[[], Run], broken: Callable[[], str | None] = lambda: None) -> Run:
    """Show a run's progress until it ends or pauses; `broken` says why it can't go on."""
    seen = states(read, broken)
    if not progress_console.is_terminal:
        return _follow_plainly(seen)
    narrow = progress_console.width < NARROW_COLUMNS
    wide = (BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeElapsedColumn(), TextColumn("left"))
    numbers = (MofNCompleteColumn(),) if narrow else (*wide, TimeRemainingColumn())
    wide_name = "{task.description:<14.14}" if narrow else "{task.description:<28}"
    name = TextColumn(wide_name, style="bold", markup=False)
    columns: tuple[ProgressColumn, ...] = (name, *numbers)
    with Progress(*columns, console=progress_console) as progress:
        whole = progress.add_task("run", total=None)
        stage = progress.add_task("stage", total=None)
        for run in seen:
            now = run.progress
            progress.update(whole, total=now.steps_total, completed=now.steps_done, description=run.name)
            progress.update(stage, total=now.total or None, completed=now.done, description=now.stage)
    return run


def _follow_plainly(seen: Iterator[Run]) -> Run:
    shown, at = "", 0.0
    for run in seen:
        line = f"{run.progress.steps_done}/{run.progress.steps_total} steps · {run.progress.stage}"
        # A log keeps every line, so there is one in five seconds at most.
        if line != shown and time.monotonic() - at > PLAIN_SECONDS:
            print(line, file=sys.stderr, flush=True)
            shown, at = line, time.monotonic()
    final = f"{run.progress.steps_done}/{run.progress.steps_total} steps · {run.state.value}"
    print(final, file=sys.stderr, flush=True)
    return run


def states(read: Callable[[], Run], broken: Callable[[], str | None]) -> Iterator[Run]:
    """The run again and again until it ends or pauses.

    A server that does not answer is asked again for minutes: its process or pod is being replaced, and the run goes on
    meanwhile. Raises Unavailable when it stays away.
    """
    pause, silent_since = POLL_SECONDS, None
    while True:
        reason = broken()
        if reason is not None:
            raise Unavailable(reason)
        try:
            run = read()
        # Only what time can mend: NotFound and refused keys are raised at once.
        except Unavailable:
            if silent_since is None:
                progress_console.print("the server does not answer: asking again for minutes", style="dim")
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > PATIENCE_SECONDS:
                raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            continue
        pause, silent_since = POLL_SECONDS, None
        yield run
        if run.state in ENDED or run.state is RunState.PAUSED:
            return
        time.sleep(POLL_SECONDS)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
