"""Regret of the temperature controller on sweeps of real policies: the half that `benchmarks.controller` leaves out.

    mstar run start benchmarks/controller_sweeps.yaml --seed 131 --home sweeps     # likewise 132 and, with time, 133
    python -m benchmarks.controller_real --home sweeps      # controller_real.json, and the end of controller.md

Each run sweeps the policy that it has before each of five iterations, warm-up first: seven temperatures, 200
validation questions, 32 responses each, all scored by its PRM. That is ten times a sweep of full cost, 80 questions
with 8 responses, which is about what a sweep of the study costs; a quarter is 20 questions. Sweeps are drawn from the
large one: questions at random, and of each question 8 responses at random. With common numbers these are the same
places at all temperatures, which the services sample from equal seeds. Without, neighbouring temperatures take
different places, and one comes again 0.8 further up at the soonest.

The truth is what such sweeps show on average, which follows from the large one without drawing. So regret is exact for
the responses that were sampled, and as good as these for the policy. What is left of their noise makes the true curve
rougher than the policy's own, which favours the arg-max if anything.

Registered before the first of these runs. Two candidates: the smooth curve with p ≥ 0.8, as `estimator: fit` has it by
default, without common numbers and with them. Each is compared with the arg-max at full cost without common numbers,
by the mean regret over 200 draws of each sweep, paired by sweep: at full cost, and at a quarter. A candidate wins

- at equal cost where the mean difference is below 0 and Student's t over the sweeps, corrected by Holm for the two
  candidates, is below 5 %;
- at a quarter of the cost where the mean difference is not above 0.

One that wins both may become the default; of two, the one with less regret at full cost. Fewer than ten sweeps decide
nothing. The other rules are shown. Sweeps of one run are related, so that p-values are somewhat too small. Every draw
begins at T = 1. What this leaves out: what less regret is worth to a run.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import comb, sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from benchmarks.controller import CURRENT, HERE, PAGE, with_real
from benchmarks.controller_records import table
from mstar.evolution import graph
from mstar.exploration import Outcomes, choose, choose_by_fit, curve_of
from mstar.metrics import ranked
from mstar.recipes import Recipe
from mstar.results import RunResults
from mstar.reward import RewardRule
from mstar.stages.choose import ChooseParams
from mstar.study.statistics import holm, over_seeds
from mstar.types import RolloutRow, ScoreRow
from mstar_artefacts.store import ArtefactStore

Row = TypeVar("Row", RolloutRow, ScoreRow)
Places = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]
NAME = "controller-sweeps"
OUT = HERE / "controller_real.json"
QUESTIONS, SAMPLES, KEPT = 80, 8, 2
"""Of a sweep of full cost, responses a question, and K of Reward-Pass@K."""
DRAWS = 200
"""Of each sweep and rule."""


@dataclass(frozen=True)
class Sweep:
    """All responses of one policy, ranked by the PRM."""

    seed: int
    iteration: int
    grid: tuple[float, ...]
    order: Places
    """[questions, temperatures, n]: places of the responses, the highest reward first."""
    right: Marks
    """[questions, temperatures, n]: whether the response at each rank is correct."""

    def truth(self) -> npt.NDArray[np.float64]:
        """[temperatures]: Reward-Pass@K of 8 of the n responses, on average over all choices of 8."""
        n = self.right.shape[2]
        # That the two highest of the chosen ones stand at ranks i < j: the other six stand after j.
        weight = np.array(
            [[comb(n - 1 - j, SAMPLES - 2) / comb(n, SAMPLES) if i < j else 0.0 for j in range(n)] for i in range(n)]
        )
        missed = 1.0 - self.right
        value = 1.0 - np.einsum("qti,ij,qtj->qt", missed, weight, missed)
        curve: npt.NDArray[np.float64] = value.mean(axis=0)
        return curve

    def draw(self, generator: np.random.Generator, questions: int, *, common: bool) -> Outcomes:
        """A sweep of some questions with 8 responses at each temperature."""
        asked = generator.choice(len(self.order), questions, replace=False)
        n = self.order.shape[2]
        # [questions, n]: each question's places in a drawn order, of which every eight make a block.
        drawn = np.argsort(generator.random((questions, n)), axis=1)
        block = np.take_along_axis(drawn[:, None, :], self.order[asked], axis=2) // SAMPLES
        columns = np.zeros(len(self.grid), int) if common else np.arange(len(self.grid)) % (n // SAMPLES)
        chosen = block == columns[None, :, None]
        highest = chosen & (np.cumsum(chosen, axis=2) <= KEPT)
        found = (highest & self.right[asked]).any(axis=2)
        return {
            temperature: {str(question): float(one) for question, one in zip(asked, found[:, column], strict=True)}
            for column, temperature in enumerate(self.grid)
        }


@dataclass(frozen=True)
class Rule:
    """One way to sweep and to choose."""

    name: str
    pick: Callable[[Outcomes], float]
    cost: float = 1.0
    common: bool = False

    def regret(self, sweep: Sweep, draws: int) -> tuple[float, float]:
        """Mean regret in points, and how often another temperature than the current one is chosen."""
        truth = dict(zip(sweep.grid, sweep.truth(), strict=True))
        # Equal draws for all rules that ask as much in the same way.
        generator = np.random.default_rng([sweep.seed, sweep.iteration])
        asked = round(QUESTIONS * self.cost)
        times = range(draws if asked else 1)
        chosen = [self.pick(sweep.draw(generator, asked, common=self.common) if asked else {}) for _ in times]
        return 100 * fmean(max(truth.values()) - truth[one] for one in chosen), fmean(one != CURRENT for one in chosen)


def argmax(outcomes: Outcomes) -> float:
    """The paper's rule."""
    return choose(curve_of(outcomes), CURRENT)


def smooth(confidence: float) -> Callable[[Outcomes], float]:
    """The smooth curve."""
    return lambda outcomes: choose_by_fit(outcomes, CURRENT, confidence).chosen


REFERENCE = Rule("arg-max (the paper)", argmax)
CANDIDATES = (
    Rule("smooth curve, p ≥ 0.8", smooth(0.8)),
    Rule("smooth curve, p ≥ 0.8, common", smooth(0.8), common=True),
)
RULES = (
    Rule("stay at T = 1", lambda _: CURRENT, cost=0.0),
    REFERENCE,
    Rule("arg-max, common", argmax, common=True),
    Rule("smooth curve", smooth(0.5)),
    *CANDIDATES,
    Rule("arg-max (the paper)", argmax, cost=0.25),
    Rule("smooth curve", smooth(0.5), cost=0.25),
    *(Rule(one.name, one.pick, 0.25, one.common) for one in CANDIDATES),
)


def sweeps(home: Path) -> Iterator[Sweep]:
    """What runs of the sweeps' recipe have swept so far, in the order of seeds and iterations."""
    store = ArtefactStore(home)
    found = [json.loads(path.read_bytes()) for path in home.glob("r-*/results.json")]
    runs = [RunResults.model_validate(one) for one in found if one["recipe"]["name"] == NAME]
    for run in sorted(runs, key=lambda one: one.recipe.seed):
        yield from swept(store, run.id, run.recipe)


def swept(store: ArtefactStore, run: str, recipe: Recipe) -> Iterator[Sweep]:
    """The sweeps of one run that are done and whole, from the steps that its controller read."""
    for step in graph(recipe, recipe.evolution.iterations):
        if isinstance(step.params, ChooseParams):
            rows = list(_rows(store, run, step.params.rows, RolloutRow))
            scores = list(_rows(store, run, step.params.scores, ScoreRow))
            if len(rows) == len(scores) == recipe.exploration.questions * len(recipe.exploration.grid):
                yield sweep_of(recipe.seed, step.params.iteration, rows, scores, recipe.reward_rule)


def sweep_of(
    seed: int, iteration: int, rows: Sequence[RolloutRow], scores: Sequence[ScoreRow], rule: RewardRule
) -> Sweep:
    """A sweep from its rows, which stand question by question."""
    grid = tuple(sorted({row.temperature for row in rows}))
    made = [ranked(row, score, seed, rule) for row, score in zip(rows, scores, strict=True)]
    at = {(row.question.id, row.temperature): place for place, row in enumerate(rows)}
    questions = list(dict.fromkeys(row.question.id for row in rows))
    table = [[made[at[question, temperature]] for temperature in grid] for question in questions]
    return Sweep(
        seed=seed,
        iteration=iteration,
        grid=grid,
        order=np.array([[[one.index for one in cell] for cell in line] for line in table]),
        right=np.array([[[one.verdict.correct for one in cell] for cell in line] for line in table]),
    )


def _rows(store: ArtefactStore, run: str, steps: Sequence[str], kind: type[Row]) -> Iterator[Row]:
    for step in steps:
        if ref := store.find(f"{run}/{step}"):
            yield from store.rows(ref, kind)


def measured(found: Sequence[Sweep], draws: int = DRAWS) -> dict[str, Any]:
    """Curves, regrets and verdicts, as they are recorded."""
    table: list[dict[str, Any]] = [
        {"rule": rule.name, "cost": rule.cost, "regret": [one[0] for one in own], "changes": fmean(o[1] for o in own)}
        for rule in RULES
        for own in [[rule.regret(sweep, draws) for sweep in found]]
    ]
    return {
        "sweeps": [
            {"seed": one.seed, "iteration": one.iteration, "grid": one.grid, "truth": [*map(float, one.truth())]}
            for one in found
        ],
        "rules": table,
        "verdicts": _verdicts({(one["rule"], one["cost"]): one["regret"] for one in table}),
    }


def _verdicts(regrets: dict[tuple[str, float], list[float]]) -> list[dict[str, Any]]:
    base = regrets[REFERENCE.name, 1.0]
    found = []
    for rule in CANDIDATES:
        for cost in (1.0, 0.25):
            estimate = over_seeds([a - b for a, b in zip(regrets[rule.name, cost], base, strict=True)])
            found.append((rule.name, cost, estimate))
    full = [one.p_value for _, cost, one in found if cost == 1.0]
    corrected = iter(holm([1.0 if one is None else one for one in full]))
    made = []
    for name, cost, one in found:
        p = next(corrected) if cost == 1.0 else None
        wins = len(base) >= 10 and (one.mean < 0 and p < 0.05 if p is not None else one.mean <= 0)
        made.append(
            {"rule": name, "cost": cost, "difference": one.mean, "low": one.low, "high": one.high, "p": p, "wins": wins}
        )
    return made


def section(record: dict[str, Any]) -> str:
    """The end of the page."""
    if not record["sweeps"]:
        return "\n".join([HEAD, NONE, RECORDS, table()])
    grid = record["sweeps"][0]["grid"]
    lines = [HEAD, f"| rule | cost | {' | '.join(_name(one) for one in record['sweeps'])} | mean | changes |"]
    lines.append(f"|{'---|' * (len(record['sweeps']) + 4)}")
    for one in record["rules"]:
        own = one["regret"]
        error = stdev(own) / sqrt(len(own)) if len(own) > 1 else 0.0
        cells = " | ".join(f"{value:.2f}" for value in own)
        mean = f"**{fmean(own):.2f} ± {error:.2f}**"
        lines.append(f"| {one['rule']} | {one['cost']:g} | {cells} | {mean} | {100 * one['changes']:.0f} % |")
    lines += ["", "| candidate | cost | less the arg-max at full cost | p, Holm | wins |", "|---|---|---|---|---|"]
    for one in record["verdicts"]:
        ends = "" if one["low"] is None else f" ({one['low']:+.2f} to {one['high']:+.2f})"
        p = "-" if one["p"] is None else f"{one['p']:.3f}"
        wins = "yes" if one["wins"] else "**no**"
        lines.append(f"| {one['rule']} | {one['cost']:g} | {one['difference']:+.2f}{ends} | {p} | {wins} |")
    lines += [
        "",
        f"| true Reward-Pass@2 at T | {' | '.join(f'{one:g}' for one in grid)} |",
        f"|{'---|' * (len(grid) + 1)}",
    ]
    for one in record["sweeps"]:
        lines.append(f"| {_name(one)} | {' | '.join(f'{100 * value:.1f}' for value in one['truth'])} |")
    return "\n".join([*lines, "", RECORDS, table()])


def _name(sweep: dict[str, Any]) -> str:
    return f"{sweep['seed']}, {sweep['iteration']}"


def main() -> None:
    """Measure what a home has swept; without one, write the page from the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="where the runs are; without it the page is written from the record")
    home = parser.parse_args().home
    if home is not None:
        OUT.write_text(json.dumps(measured(list(sweeps(home))), indent=1) + "\n", encoding="utf-8")
    record = json.loads(OUT.read_bytes()) if OUT.is_file() else {"sweeps": []}
    PAGE.write_text(with_real(PAGE.read_text(encoding="utf-8"), section(record)), encoding="utf-8")


HEAD = """## Sweeps of real policies

Of each policy one large sweep is made, 7 temperatures, 200 questions, 32 responses, and parts of it stand for sweeps:
80 questions and 8 responses at full cost, 20 questions at a quarter. Columns are the run's seed and the iteration that
the sweep precedes; every number is the mean regret of 200 parts, in points. `benchmarks/controller_real.py` says how
parts are cut, and what was registered before the first run: two candidates, the smooth curve with p ≥ 0.8 without and
with common numbers, against the arg-max at full cost. A candidate wins where it has less regret at full cost, by
Student's t over the sweeps with Holm's correction, and no more at a quarter of it; fewer than ten sweeps decide
nothing.
"""
NONE = "None of these runs has been made yet.\n"
RECORDS = """## The sweeps of the study

Looked at without a plan, and deciding nothing: the 48 sweeps that the study's runs have made, 4 temperatures, 150
questions and 8 responses each. Their records have the curves. Regret is counted against the mean curve of the other
seven seeds, whose policies differ somewhat. The arg-max loses 0.3 to 1.1 points there, which is about what another
rule could win. Without a controller, at T = 1, 2.7 to 5.5 points of Reward-Pass@2 are lost, and none of Pass@8.
`benchmarks/controller_records.py` counts it.
"""


if __name__ == "__main__":
    main()
