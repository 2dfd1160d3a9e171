"""What the pages show that the API does not compute: a run in one line, and the map of all temperature sweeps. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mstar.api.runs import Progress, Run
from mstar.evolution import RunState
from mstar.results import RunResults

PALEST = 8
"""Percent of the colour that the least value of a map gets, so that no cell looks empty."""


@dataclass(frozen=True)
class RunLine:
    """A run as the list shows it; accuracies in percent, None until measured."""

    run: Run
    created: str
    """Date and time, UTC."""
    percent: int
    """Steps that are done, of all that are planned."""
    greedy: float | None
    ood: float | None
    gain: float | None
    """Points of greedy accuracy on test-ID from warm-up to the last iteration."""
    temperature: float | None
    age: str
    """Since it was started."""
    left: str
    """Until its end, if its steps go on as they did; empty unless it runs and some are done."""


@dataclass(frozen=True)
class MapCell:
    """One measured temperature of a sweep."""

    percent: float
    shade: int
    """Strength of the colour, 8 to 100: where the value lies between the map's least and greatest."""
    chosen: bool


@dataclass(frozen=True)
class SweepMap:
    """Temperature × iteration, coloured by the controller's metric."""

    iterations: tuple[int, ...]
    rows: tuple[tuple[float, tuple[MapCell | None, ...]], ...]
    """A temperature, highest first, with its cell of each iteration."""


def run_line(run: Run, results: RunResults, now: float) -> RunLine:
    """The numbers of a run that fit a line. `now`: seconds since the epoch."""
    measured = [one for one in results.iterations if one.greedy is not None]
    last = measured[-1] if measured else None
    before = results.test.get("warmup") or results.test.get("base")
    greedy = last.greedy if last else before.id if before else None
    ood = last.ood if last else before.ood if before else None
    gain = None
    if last is not None and last.greedy is not None and "warmup" in results.test:
        gain = 100 * (last.greedy - results.test["warmup"].id)
    return RunLine(
        run=run,
        created=moment(run.created_at),
        percent=done_percent(run.progress),
        greedy=None if greedy is None else 100 * greedy,
        ood=None if ood is None else 100 * ood,
        gain=gain,
        temperature=results.iterations[-1].temperature if results.iterations else None,
        age=spoken(now - run.created_at),
        left=_left(run),
    )


def done_percent(progress: Progress) -> int:
    """Steps that are done, of all that are planned, in percent."""
    return round(100 * progress.steps_done / max(1, progress.steps_total))


def _left(run: Run) -> str:
    done, total = run.progress.steps_done, run.progress.steps_total
    if run.state is not RunState.RUNNING or not done:
        return ""
    # As if all steps took the same time: a rough guess, since trainings are few and long.
    return spoken((run.updated_at - run.created_at) * (total - done) / done)


def moment(at: float) -> str:
    """Date and time in UTC, of seconds since the epoch."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def spoken(seconds: float) -> str:
    """A duration in its two largest units, such as `3 h 20 min`."""
    minutes = round(max(0.0, seconds) / 60)
    if minutes < 1:
        return "under a minute"
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    return " ".join([part for part in parts if part][:2])


def sweep_map(results: RunResults) -> SweepMap | None:
    """All sweeps side by side; None before the first."""
    if not results.sweeps:
        return None
    values = [value for sweep in results.sweeps for value in sweep.curve.values()]
    least, span = min(values), (max(values) - min(values)) or 1.0
    temperatures = sorted({temperature for sweep in results.sweeps for temperature in sweep.curve}, key=float)
    rows = []
    for temperature in reversed(temperatures):
        cells = []
        for sweep in results.sweeps:
            value = sweep.curve.get(temperature)
            shade = 0 if value is None else round(PALEST + (100 - PALEST) * (value - least) / span)
            chosen = float(temperature) == sweep.chosen
            cells.append(None if value is None else MapCell(100 * value, shade, chosen))
        rows.append((float(temperature), tuple(cells)))
    return SweepMap(tuple(sweep.iteration for sweep in results.sweeps), tuple(rows))
