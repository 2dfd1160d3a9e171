"""`mstar run watch`: the live picture of a run in a terminal; in a pipe, its progress as lines."""

from collections import deque
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mstar.api.live import LiveRun, StageProgress, spoken_memory, spoken_rates
from mstar.api.runs import Event, Run
from mstar.cli.output import NARROW_COLUMNS, follow, progress_console, results_table, states
from mstar.client import Client
from mstar.results import RunResults
from mstar.steps import Queue

EVENTS = 5
PER_PAGE = 500
SERVICES = {Queue.CONTROL: "coordinator", Queue.ROLLOUT: "policy", Queue.SCORE: "PRM", Queue.TRAIN: "trainer"}


class _Watched:
    """What the picture is made of, read anew each time; results only after something happened."""

    def __init__(self, client: Client, run_id: str) -> None:
        self._client, self._id = client, run_id
        self._seen = "0"
        self.events: deque[Event] = deque(maxlen=EVENTS)
        self.live: LiveRun | None = None
        self.results: RunResults | None = None

    def read(self) -> Run:
        run = self._client.run(self._id)
        self.live = self._client.live(self._id)
        # Results are large, and change only when a step was committed, which is an event.
        before = self._seen
        while True:
            page = self._client.events(self._id, after=self._seen, limit=PER_PAGE)
            self.events.extend(page.data)
            self._seen = page.last_id or self._seen
            # All pages: the last events of a run that was watched late are on the last one.
            if not page.has_more:
                break
        if self.results is None or self._seen != before:
            self.results = self._client.results(self._id)
        return run


def watch(client: Client, run_id: str, console: Console = progress_console) -> Run:
    """Show a run until it ends or pauses. Raises Unavailable when its server stays away."""
    if not console.is_terminal:
        return follow(lambda: client.run(run_id))
    watched = _Watched(client, run_id)
    # The last picture goes with the end: the results table follows it.
    with Live(console=console, auto_refresh=False, transient=True) as shown:
        for run in states(watched.read, lambda: None):
            assert watched.live is not None and watched.results is not None
            parts = picture(run, watched.live, watched.results, list(watched.events), console.width)
            shown.update(parts, refresh=True)
    return run


def picture(run: Run, live: LiveRun, results: RunResults, events: Sequence[Event], width: int) -> RenderableType:
    """Progress, who does what, rates, the map of steps, results and the last events, for a terminal of that width."""
    done, total = run.progress.steps_done, run.progress.steps_total
    head = Text.assemble((run.name, "bold"), f" {run.id} · {run.state.value} · {done} of {total} steps")
    # A bar ends no line by itself: what follows would stand beside it.
    bar = Padding(ProgressBar(total=max(1, total), completed=done, width=min(width, 60)))
    parts: list[RenderableType] = [head, bar]
    if run.problem:
        parts.append(Text(f"held up: {run.problem}", style="red"))
    parts += [_now(live, narrow=width < NARROW_COLUMNS)] if live.now else [Text("no worker holds a step", style="dim")]
    if rates := spoken_rates(live.rates):
        parts.append(Text(" · ".join(f"{value} {unit}" for value, unit in rates), style="cyan"))
    parts.append(Text("\n").join(_map(live.stages)))
    if results.test or results.iterations:
        parts.append(results_table(results))
    parts += [Text(f"{one.type} {one.step or ''} {one.message}".rstrip(), "dim", overflow="ellipsis", no_wrap=True)
              for one in events]  # fmt: skip
    return Group(*parts)


def _now(live: LiveRun, *, narrow: bool) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("now", overflow="fold")
    on_gpus = any(one.gpu_memory for one in live.now)
    for name in (
        "service",
        "done",
        "since, s",
        *(("GPU memory",) if on_gpus else ()),
        *(() if narrow else ("worker",)),
    ):
        table.add_column(name, justify="left" if name in ("service", "worker") else "right")
    for one in live.now:
        units = f"{one.done}/{one.total}" if one.total else ""
        memory = "" if one.gpu_memory is None else spoken_memory(one.gpu_memory)
        cells = (one.name, SERVICES[one.queue], units, f"{one.seconds:.0f}", *((memory,) if on_gpus else ()))
        table.add_row(*cells, *(() if narrow else (one.worker or "",)))
    return table


def _map(stages: Sequence[StageProgress]) -> Iterable[Text]:
    """A line for each phase, with its stages and how many of their steps are done."""
    phases: dict[str, Text] = {}
    for stage in stages:
        phase, _, short = stage.name.partition("/")
        line = phases.setdefault(phase, Text(f"{phase}:"))
        line.append(f" {short or phase} {stage.done}/{stage.total}", style=_style(stage))
    return phases.values()


def _style(stage: StageProgress) -> str:
    if stage.failed:
        return "red"
    if stage.done == stage.total:
        return "green"
    return "bold cyan" if stage.running else "dim"
