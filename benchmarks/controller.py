"""Regret of the temperature controller: the literal arg-max against a smooth curve, at equal and at a quarter cost.

`python -m benchmarks.controller` simulates sweeps of known curves and writes controller.md beside this file, but for
its end, which is `controller_real`'s. Regret is the true metric at its best temperature less the true metric at the
chosen one, in points. What this leaves out: what a better temperature is worth to a run, which the arms would have to
show.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import erf, sqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mstar.curve_fit import fit
from mstar.exploration import Outcomes, choose, choose_by_fit, curve_of, paired
from mstar.recipes import PAPER_GRID

Array = npt.NDArray[np.float64]
HERE = Path(__file__).parent
PAGE = HERE / "controller.md"
REAL = "<!-- what follows is of benchmarks.controller_real -->\n"
CURRENT = 1.0
"""Where every sweep begins: the temperature that recipes begin with."""
QUESTIONS = 250
"""Of a sweep of full cost, as in the paper."""
SWEEPS = 50
"""Of each curve and rule."""
DIFFICULTY = 2.0
"""Standard deviation of questions' difficulty, in logits: some are nearly always solved and some nearly never."""
REACH = 0.3
"""With common numbers, the correlation of a question's luck at two temperatures falls by e over this distance."""
MEASURED = {
    "results.md, seed 0": (73, 73, 73, 74, 73, 68, 74, 67, 69, 68, 62, 58, 48, 39),
    "results.md, seed 1": (78, 77, 78, 78, 75, 77, 76, 79, 76, 74, 64, 72, 62, 49),
    "results.md, seed 2": (80, 84, 77, 81, 82, 83, 82, 77, 84, 77, 69, 55, 49, 44),
}
"""Sweeps of docs/results.md; a moving mean over five points stands for the truth behind them."""

Draw = Callable[[np.random.Generator, int, bool], Array]
"""Outcomes [questions, temperatures] of one sweep: generator, questions, common numbers."""


@dataclass(frozen=True)
class Rule:
    """One way to sweep and to choose."""

    name: str
    pick: Callable[[Array], float]
    cost: float = 1.0
    """Responses, as a share of those of the reference."""
    stretch: float = 1.0
    """Questions for the same cost, as a multiple: a halved grid has more."""
    common: bool = False


def main() -> None:
    """Measure, print, write."""
    text = "\n".join([HEAD, *_table(QUESTIONS, simulated()), ""])
    before = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_real(text, before.partition(REAL)[2]), encoding="utf-8")
    print(text)


def with_real(page: str, real: str) -> str:
    """The page with another end: what real sweeps have shown."""
    return page.partition(REAL)[0].rstrip("\n") + "\n\n" + REAL + "\n" + real.lstrip("\n")


def _table(questions: int, curves: Sequence[tuple[str, Array, Draw]]) -> Iterator[str]:
    names = [name for name, _, _ in curves]
    yield f"| rule | cost | {' | '.join(names)} | mean | changes |"
    yield f"|{'---|' * (len(names) + 4)}"
    for rule in RULES:
        asked = round(questions * rule.cost * rule.stretch)
        regrets, moved = [], []
        for place, (_, truth, draw) in enumerate(curves):
            generator = np.random.default_rng(place)
            chosen = [rule.pick(draw(generator, asked, rule.common)) for _ in range(SWEEPS)]
            regrets.append([100 * (truth.max() - truth[PAPER_GRID.index(one)]) for one in chosen])
            moved += [one != CURRENT for one in chosen]
        means = [f"{np.mean(one):.2f}" for one in regrets]
        every = np.concatenate(regrets)
        error = every.std() / sqrt(len(every))
        mean = f"**{every.mean():.2f} ± {error:.2f}**"
        line = f"| {rule.name} | {rule.cost:g} | {' | '.join(means)} | {mean} | {100 * np.mean(moved):.0f} % |"
        print(line, file=sys.stderr, flush=True)
        yield line


def outcomes(table: Array, first: int = 0, grid: Sequence[int] | None = None) -> Outcomes:
    """From [questions, temperatures]; `grid`: which temperatures were asked."""
    return {
        PAPER_GRID[column]: {str(first + question): float(row[column]) for question, row in enumerate(table)}
        for column in (range(len(PAPER_GRID)) if grid is None else grid)
    }


def argmax(table: Array) -> float:
    """The paper's rule."""
    return choose(curve_of(outcomes(table)), CURRENT)


def smooth(confidence: float) -> Callable[[Array], float]:
    """The smooth curve over the whole grid."""
    return lambda table: choose_by_fit(outcomes(table), CURRENT, confidence).chosen


def halved(confidence: float, halvings: int) -> Callable[[Array], float]:
    """Successive halving (Jamieson and Talwalkar, arXiv 1502.07943) by the smooth curve, which also decides at the end.

    Each part asks twice as many questions of half as many temperatures, so all parts cost about the same.
    """

    def pick(table: Array) -> float:
        shares = [2**one for one in range(halvings + 1)]
        ends = [len(table) * sum(shares[: one + 1]) // sum(shares) for one in range(len(shares))]
        kept, found, start = list(range(len(PAPER_GRID))), dict[float, dict[str, float]](), 0
        for part, end in enumerate(ends):
            for temperature, own in outcomes(table[start:end], start, kept).items():
                found.setdefault(temperature, {}).update(own)
            if part < halvings:
                asked = [PAPER_GRID[one] for one in kept]
                made = fit(paired({one: found[one] for one in asked}), asked)
                order = sorted(range(len(kept)), key=lambda one: -made.mean(one))
                # The current temperature stays, since the choice compares with it.
                best = {kept[one] for one in order[: (len(order) + 1) // 2]}
                kept = [one for one in kept if one in best or PAPER_GRID[one] == CURRENT]
            start = end
        # With what was dropped as well, since it still says how the curve runs.
        return choose_by_fit(found, CURRENT, confidence).chosen

    return pick


STRETCH = 14 / (14 / 7 + 2 * 7 / 7 + 4 * 4 / 7)
"""Questions of a sweep whose grid is halved twice, for one question of a whole one at the same cost."""
RULES = (
    Rule("stay at T = 1", lambda _: CURRENT, cost=0.0),
    Rule("arg-max (the paper)", argmax),
    Rule("arg-max, common numbers", argmax, common=True),
    Rule("smooth curve", smooth(0.5)),
    Rule("smooth curve, p ≥ 0.8", smooth(0.8)),
    Rule("smooth curve, p ≥ 0.8, common numbers", smooth(0.8), common=True),
    Rule("smooth curve, p ≥ 0.8, grid halved twice", halved(0.8, 2), stretch=STRETCH),
    Rule("arg-max (the paper)", argmax, cost=0.25),
    Rule("smooth curve", smooth(0.5), cost=0.25),
    Rule("smooth curve, p ≥ 0.8", smooth(0.8), cost=0.25),
    Rule("smooth curve, p ≥ 0.8, grid halved twice", halved(0.8, 2), cost=0.25, stretch=STRETCH),
)


def simulated() -> list[tuple[str, Array, Draw]]:
    """Curves and how their sweeps are drawn."""
    at = np.array(PAPER_GRID)
    curves: dict[str, Array] = {
        name: np.convolve(np.pad(np.array(one, float), 2, mode="edge"), np.full(5, 0.2), "valid") / 100
        for name, one in MEASURED.items()
    }
    curves |= {
        "peak at 0.7": 0.6 - 0.15 * (at - 0.7) ** 2,
        "peak at 1.0": 0.6 - 0.25 * (at - 1.0) ** 2,
        "peak at 1.2": 0.5 - 0.2 * (at - 1.2) ** 2,
        "flat, then a cliff": 0.75 / (1 + np.exp((at - 1.35) / 0.08)) + 0.02 * at,
        "rising": 0.45 + 0.05 * at,
    }
    return [(name, curve, _drawer(curve)) for name, curve in curves.items()]


def _drawer(curve: Array) -> Draw:
    """Questions differ in difficulty alone, so that their mean follows the curve; luck comes on top."""
    levels = _levels(curve)
    at = np.array(PAPER_GRID)
    root = np.linalg.cholesky(np.exp(-np.abs(at[:, None] - at) / REACH) + 1e-9 * np.eye(len(at)))
    normal = np.vectorize(lambda one: 0.5 * (1 + erf(one / sqrt(2))))

    def draw(generator: np.random.Generator, questions: int, common: bool) -> Array:
        hard = generator.normal(0, DIFFICULTY, questions)
        chance = 1 / (1 + np.exp(-(levels + hard[:, None])))
        luck = normal(generator.normal(size=chance.shape) @ root.T) if common else generator.random(chance.shape)
        return (luck < chance).astype(float)

    return draw


def _levels(curve: Array) -> Array:
    """Logits whose mean success over the difficulties is the curve, found by halving intervals."""
    hard = np.linspace(-2.5, 2.5, 41)
    weights = np.exp(-(hard**2) / 2) / np.exp(-(hard**2) / 2).sum()
    low, high = np.full(len(curve), -15.0), np.full(len(curve), 15.0)
    for _ in range(60):
        middle: Array = (low + high) / 2
        over = (1 / (1 + np.exp(-(middle[:, None] + DIFFICULTY * hard)))) @ weights > curve
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return middle


HEAD = """# The temperature controller's choice

`python -m benchmarks.controller` simulates this page: 50 sweeps of each of eight curves, three of them those of
docs/results.md (moving mean over five points). Numbers are regret in points: Reward-Pass@2 at the best temperature less
that at the chosen one, both true. Every sweep begins at T = 1; "changes" says how often another temperature is chosen.
Cost is in responses, 1 being 250 questions at each of the paper's 14 temperatures. Questions differ in difficulty by a
normal of 2 logits; with common numbers, a question's luck at two temperatures 0.3 apart is correlated by 1/e.

- At equal cost the smooth curve has half the regret of the arg-max, and at a quarter of the cost no more than the
  arg-max at full cost.
- To wait for p ≥ 0.8 costs about a tenth of a point, for a tenth fewer changes.
- Common random numbers do not help. The questions are the same at all temperatures anyway; what common numbers add is
  that neighbours err alike, and then a smooth curve cannot average their errors away.
- A grid that is halved twice, with more questions for the same cost, is no better than the whole grid, since the curve
  also learns from points far off its peak. So sweeps have no rounds.

In real policies questions and luck are related otherwise: on ten sweeps of them neither of the registered rules beats
the arg-max, see below. So it stays the default (`exploration.estimator`).
"""

if __name__ == "__main__":
    main()
