"""Regret of the arg-max on the sweeps that the study's runs have made, from their records alone.

Records keep a sweep's curve and not its responses, so the smooth curve cannot be drawn again. For the truth of a seed's
curve stands the mean curve of the other seeds before the same iteration: their policies have trained as long in the
same way, and are not the same. So this says about how much a better rule could win. What it leaves out: which rule is
better.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.controller import CURRENT, HERE
from mstar.exploration import choose
from mstar.study.record import StudyRun, parse_record

Curve = dict[float, float]
FOLDERS = {"first base": HERE / "study", "second base": HERE / "study_second"}


def records(folder: Path) -> Iterator[StudyRun]:
    """The runs of a folder that have swept."""
    for path in sorted(folder.glob("*.json")):
        run = parse_record(path.read_bytes(), str(path))
        if run.sweeps:
            yield run


def regrets(curves: Sequence[Curve]) -> tuple[float, float]:
    """Mean regret, in points, of each curve's arg-max against the mean of the others, and of staying at T = 1."""
    moved, stayed = [], []
    for place, curve in enumerate(curves):
        others = [one for number, one in enumerate(curves) if number != place]
        truth = {temperature: fmean(one[temperature] for one in others) for temperature in curve}
        moved.append(max(truth.values()) - truth[choose(curve, CURRENT)])
        stayed.append(max(truth.values()) - truth[CURRENT])
    return 100 * fmean(moved), 100 * fmean(stayed)


def table() -> str:
    """A row for each arm and iteration, as Markdown."""
    found: dict[tuple[str, str, int], list[Curve]] = defaultdict(list)
    for name, folder in FOLDERS.items():
        for run in records(folder):
            for sweep in run.sweeps:
                curve = {float(temperature): value for temperature, value in sweep.curve.items()}
                found[name, run.arm, sweep.iteration].append(curve)
    grid = sorted(next(iter(found.values()))[0])
    lines = [f"| sweeps before iteration | {' | '.join(f'T = {one:g}' for one in grid)} | arg-max | stay at T = 1 |"]
    lines.append(f"|{'---|' * (len(grid) + 3)}")
    for (name, arm, iteration), curves in found.items():
        means = " | ".join(f"{100 * fmean(one[temperature] for one in curves):.1f}" for temperature in grid)
        both = " | ".join(f"{one:.2f}" for one in regrets(curves))
        lines.append(f"| {iteration}, `{arm}`, {name} ({len(curves)}) | {means} | {both} |")
    return "\n".join(lines) + "\n"
