"""The temperature controller: a curve of the metric over T, and the choice of its highest point (paper, section 4).

The choice is the literal arg-max, which is the reference mode. With 250 questions the standard error is about three
points, so neighbouring temperatures often can't be told apart: the whole curve goes into the record with the choice.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from mstar.errors import InvalidInput
from mstar.metrics import MINIMUM, mean_pass_at_k, reward_pass_at_k
from mstar.reward import RewardRule
from mstar.types import RolloutRow, ScoreRow


def choose(curve: Mapping[float, float], current: float) -> float:
    """The temperature with the highest metric.

    Where several share the highest value the current one is kept if it is among them, else the lowest is taken, since
    colder samples keep the layout better. Raises InvalidInput for an empty curve.
    """
    if not curve:
        raise InvalidInput("the sweep has no temperature to choose from", field="exploration.grid")
    highest = max(curve.values())
    best = [temperature for temperature, value in curve.items() if value == highest]
    return current if current in best else min(best)


def pass_curve(rows: Sequence[RolloutRow], k: int) -> dict[float, float]:
    """Pass@K at each temperature of a sweep, from the coldest."""
    grouped: dict[float, list[RolloutRow]] = defaultdict(list)
    for row in rows:
        grouped[row.temperature].append(row)
    return {temperature: mean_pass_at_k(grouped[temperature], k) for temperature in sorted(grouped)}


def reward_pass_curve(
    rows: Sequence[RolloutRow], scores: Sequence[ScoreRow], k: int, seed: int, rule: RewardRule = MINIMUM
) -> dict[float, float]:
    """Reward-Pass@K at each temperature of a sweep, from the coldest; `scores` stand in step with `rows`."""
    grouped: dict[float, list[tuple[RolloutRow, ScoreRow]]] = defaultdict(list)
    for row, score in zip(rows, scores, strict=True):
        grouped[row.temperature].append((row, score))
    return {
        temperature: reward_pass_at_k([r for r, _ in pairs], [s for _, s in pairs], k, seed, rule)
        for temperature, pairs in sorted(grouped.items())
    }


def recorded(curve: Mapping[float, float]) -> dict[str, float]:
    """The curve as it stands in results: temperatures as text with at least one decimal, from the coldest."""
    return {repr(float(temperature)): curve[temperature] for temperature in sorted(curve)}
