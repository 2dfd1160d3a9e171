"""What the study's benchmark must show before its arms are run: reads finished runs, and says which gates hold.

    mstar run start study/base --seed 201 --set evolution.iterations=1 --set prm.savings=false    # likewise 202, 203
    python -m benchmarks.gates --home runs

The first five gates need such short runs only. The others compare whole runs: `study/sound` with `study/random-2` and
`study/continuous`, and fixed temperatures; a gate without its runs is reported as not measured. Writes
`benchmarks/gates.json` and prints the table of docs/study.md.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from mstar.layout import join_segments, scored_segments
from mstar.needed_scores import distinct_correct
from mstar.results import RunResults
from mstar.reward import Aggregate, RewardRule, reward
from mstar.selection_rules import SelectionMode
from mstar.soundness import is_sound
from mstar.types import RolloutRow, ScoreRow
from mstar_artefacts.store import ArtefactStore

SOURCE = "builtin:minivista-study"
Row = TypeVar("Row", RolloutRow, ScoreRow)
OUT = Path(__file__).with_name("gates.json")


@dataclass(frozen=True)
class Gate:
    """A property with the range that is wanted; `value` is None where no run shows it."""

    name: str
    low: float
    high: float
    value: float | None
    runs: int

    @property
    def met(self) -> bool | None:
        """Whether the value lies in the range."""
        return None if self.value is None else self.low <= self.value <= self.high

    @property
    def wanted(self) -> str:
        """The range in words."""
        if self.high == 1.0:
            return f"at least {self.low:.1%}"
        return f"at most {self.high:.1%}" if self.low == -1.0 else f"{self.low:.0%} to {self.high:.0%}"


@dataclass(frozen=True)
class Finished:
    """A run with what its warm-up's policy sampled."""

    results: RunResults
    store: ArtefactStore

    def rollouts(self) -> list[RolloutRow]:
        """On the training questions of the first iteration."""
        return list(self._rows("it01/generate", RolloutRow))

    def validation(self) -> tuple[list[RolloutRow], list[ScoreRow]]:
        """On validation, with the PRM's scores of it."""
        return list(self._rows("eval/warmup/validation", RolloutRow)), list(self._rows("eval/warmup/score", ScoreRow))

    def _rows(self, stage: str, row: type[Row]) -> Iterator[Row]:
        shard = 0
        while ref := self.store.find(f"{self.results.id}/{stage}/{shard:04d}"):
            yield from self.store.rows(ref, row)
            shard += 1


def finished(home: Path) -> Iterator[Finished]:
    """The runs on the study's set that have come to their end."""
    store = ArtefactStore(home)
    for path in sorted(home.glob("*/results.json")):
        if path.parent.is_symlink():
            continue
        results = RunResults.model_validate_json(path.read_bytes())
        if results.recipe.data.source == SOURCE and "final" in results.test:
            yield Finished(results, store)


def sampled(rows: Sequence[RolloutRow]) -> dict[str, float]:
    """Properties of what the warm-up's policy samples at T = 1."""
    correct = sound = wrong = lucky = reached = several = 0
    for row in rows:
        gold = row.question.gold_steps
        known = {r.response.text for r in row.responses if is_sound(r.response.text, gold)}
        right = [r for r in row.responses if r.verdict.correct]
        unsound = [r for r in right if r.response.text not in known]
        correct += len(right)
        sound += len(right) - len(unsound)
        lucky += len(unsound)
        wrong += len(row.responses) - len(right)
        reached += bool(known)
        several += len(known) >= 2
    return {
        "sampled": correct / (correct + wrong),
        "sound pass": reached / len(rows),
        "unsound among correct": lucky / max(1, correct),
        "wrong chain right": lucky / max(1, lucky + wrong),
        "two sound texts": several / len(rows),
    }


Pair = tuple[str, int, float]
"""Kind of the unsound response, its number of steps, and 1 where the sound one stands above it, ½ for a tie."""


def pairs(rows: Sequence[RolloutRow], scores: Sequence[ScoreRow], rule: RewardRule) -> Iterator[Pair]:
    """Every sound and unsound correct response of one question, compared by R_p: what choosing among them decides."""
    for row, scored in zip(rows, scores, strict=True):
        rewards = {one.index: reward(one, None, rule) for one in scored.responses}
        found: dict[bool, list[tuple[float, str]]] = {True: [], False: []}
        for text, checked in distinct_correct(row, 1).items():
            if checked.index in rewards:
                found[is_sound(text, row.question.gold_steps)].append((rewards[checked.index], text))
        for good, _ in found[True]:
            for bad, text in found[False]:
                steps = scored_segments(text)[:-1]
                kind = "left out" if "leave" in join_segments(steps) else "slip"
                yield kind, len(steps), 1.0 if good > bad else 0.5 if good == bad else 0.0


def ranking(runs: Iterable[Finished]) -> dict[str, dict[str, float]]:
    """How often a sound chain stands above an unsound correct one, by aggregate: in all, by kind, by steps, by run."""
    known = [run.validation() for run in runs]
    table: dict[str, dict[str, float]] = {}
    for aggregate in Aggregate:
        groups: dict[str, list[float]] = defaultdict(list)
        for number, (rows, scores) in enumerate(known):
            for kind, steps, above in pairs(rows, scores, RewardRule(aggregate=aggregate)):
                for group in ("all", kind, f"{steps} steps", f"run {number + 1}"):
                    groups[group].append(above)
        table[aggregate.value] = {group: fmean(values) for group, values in sorted(groups.items())} | {
            "pairs": float(len(groups["all"]))
        }
    return table


def gates(runs: Sequence[Finished]) -> tuple[list[Gate], dict[str, dict[str, float]]]:
    """All gates, and the PRM's ranking by aggregate."""
    policies = {run.results.recipe.seed: run for run in runs if run.results.recipe.evolution.temperature == 1.0}
    shown = [sampled(run.rollouts()) for run in policies.values()]
    whole = [run for run in policies.values() if _all_scored(run)]
    ranks = ranking(whole) if whole else {}
    # The aggregate is the recipe's; the others are shown beside it.
    chosen = ranks[whole[0].results.recipe.reward_rule.aggregate.value]["all"] if whole else None
    greedy = [run.results.test["warmup"].id for run in policies.values() if "warmup" in run.results.test]

    def mean_of(name: str) -> float | None:
        return fmean(one[name] for one in shown) if shown else None

    return [
        Gate("warm-up, greedy", 0.25, 0.40, fmean(greedy) if greedy else None, len(greedy)),
        Gate("a sound chain among 16", 0.40, 0.60, mean_of("sound pass"), len(shown)),
        Gate("unsound among correct", 0.40, 0.65, mean_of("unsound among correct"), len(shown)),
        Gate("two sound texts or more", 0.25, 1.0, mean_of("two sound texts"), len(shown)),
        Gate("sound ranked above unsound", 0.75, 1.0, chosen, len(whole)),
        *_of_arms(runs),
    ], ranks


def _all_scored(run: Finished) -> bool:
    prm = run.results.recipe.prm
    return prm is not None and not prm.savings.wrong and not prm.savings.uncontested


def _of_arms(runs: Sequence[Finished]) -> Iterator[Gate]:
    """What only whole runs show."""
    arms: dict[SelectionMode, dict[int, RunResults]] = defaultdict(dict)
    fixed: dict[float, list[float]] = defaultdict(list)
    for run in runs:
        found, plan = run.results, run.results.recipe.evolution
        if len(found.iterations) < 4:
            continue
        if plan.selection.mode is SelectionMode.TOP:
            fixed[plan.temperature].append(found.test["final"].id)
        if plan.temperature == 1.0:
            arms[plan.selection.mode][found.recipe.seed] = found
    sound, random, everything = (arms[mode] for mode in (SelectionMode.SOUND, SelectionMode.RANDOM, SelectionMode.ALL))
    both = sound.keys() & random.keys()
    lead = [sound[seed].test["final"].id - random[seed].test["final"].id for seed in both]
    yield Gate("sound only - random 2, at the end", 0.10, 1.0, fmean(lead) if lead else None, len(lead))
    first = [_first_share(one) for one in everything.values()]
    yield Gate("gain of iteration 1 in continuous", -1.0, 0.40, fmean(first) if first else None, len(first))
    falls = [fall for one in everything.values() if (fall := _fall(one)) is not None]
    yield Gate("fall of Pass@K at T = 1 in continuous", 0.0, 1.0, fmean(falls) if falls else None, len(falls))
    ends = [fmean(values) for values in fixed.values()]
    spread = max(ends) - min(ends) if len(ends) >= 2 else None
    yield Gate("fixed temperatures, best - worst", 0.04, 1.0, spread, len(ends))


def _first_share(run: RunResults) -> float:
    """Iteration 1's part of the whole gain."""
    start, first = run.test["warmup"].id, run.iterations[0].greedy
    gain = run.test["final"].id - start
    return ((first or start) - start) / gain if gain > 0 else 1.0


def _fall(run: RunResults) -> float | None:
    start, end = run.test["warmup"].pass_at_k, run.iterations[-1].pass_at_k
    return None if start is None or end is None else start - end


def main() -> None:
    """Print the table and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    if not (runs := list(finished(arguments.home))):
        sys.exit(f"no finished run on {SOURCE} lies below {arguments.home}: nothing is written")
    found, ranks = gates(runs)
    print("| gate | wanted | measured | runs | met |\n|---|---|---|---|---|")
    for gate in found:
        value = "not measured" if gate.value is None else f"{gate.value:.1%}"
        met = {None: "-", True: "yes", False: "no"}[gate.met]
        print(f"| {gate.name} | {gate.wanted} | {value} | {gate.runs} | {met} |")
    for aggregate, groups in ranks.items():
        print(aggregate, {group: round(value, 3) for group, value in groups.items()})
    listed = [{"name": g.name, "wanted": g.wanted, "value": g.value, "runs": g.runs, "met": g.met} for g in found]
    # In percent, as `mstar study report --gates` shows them beside a study's own properties, which tell the rest.
    shown = [
        {"name": f"gate: {g.name}", "value": 100 * g.value, "wanted": g.wanted, "met": g.met}
        for g in found
        if g.value is not None
    ]
    made = {"gates": listed, "ranking": ranks, "properties": shown}
    arguments.out.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
