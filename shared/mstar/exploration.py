"""The temperature controller: a curve of the metric over T, and the choice of a temperature (paper, section 4).

The literal arg-max is the paper's rule and the reference mode. With 250 questions the standard error is about three
points, so neighbouring temperatures often can't be told apart, and the arg-max follows the noise. The other estimator,
which is ours, pairs the temperatures by question, draws a smooth curve through the points (`curve_fit`), and changes
the temperature only where another is better with some probability. The whole curve goes into the record either way.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mstar.curve_fit import Point, fit
from mstar.errors import InvalidInput
from mstar.metrics import MINIMUM, mean, mean_pass_at_k, reward_pass_at_k
from mstar.reward import RewardRule
from mstar.types import RolloutRow, ScoreRow

Outcomes = Mapping[float, Mapping[str, float]]
"""Temperature → question id → what the metric is worth there, in [0, 1]."""


@dataclass(frozen=True)
class FittedChoice:
    """What the smooth curve says."""

    chosen: float
    fitted: dict[float, float]
    """The smooth curve at the temperatures that were measured."""
    best: float
    """Where it is highest, which is chosen if it is better than the current temperature with enough probability."""
    probability: float
    """That the best is better than the current temperature; 0.5 where it is the current one."""


def choose(curve: Mapping[float, float], current: float) -> float:
    """The temperature with the highest metric.

    Where several share the highest value the current one is kept if it is among them, else the lowest is taken, since
    colder samples keep the layout better. Raises InvalidInput for an empty curve.
    """
    _require(curve)
    highest = max(curve.values())
    best = [temperature for temperature, value in curve.items() if value == highest]
    return current if current in best else min(best)


def choose_by_fit(outcomes: Outcomes, current: float, confidence: float) -> FittedChoice:
    """The best temperature of the smooth curve, if it beats the current one with probability `confidence`.

    The current one need not be measured: the curve has a value there too. Raises InvalidInput for an empty sweep.
    """
    _require(outcomes)
    places = sorted({*outcomes, current})
    # In one fit with the sweep: the probability needs the covariance of the two places.
    made = fit(paired(outcomes), places)
    at = {temperature: place for place, temperature in enumerate(places)}
    # The first of equals, which is the coldest.
    best = max(sorted(outcomes), key=lambda temperature: made.mean(at[temperature]))
    probability = made.above(at[best], at[current])
    return FittedChoice(
        chosen=best if probability >= confidence else current,
        fitted={temperature: made.mean(at[temperature]) for temperature in sorted(outcomes)},
        best=best,
        probability=probability,
    )


def paired(outcomes: Outcomes) -> list[Point]:
    """A point for each temperature, with how hard its questions are taken out.

    All temperatures answer the same questions, so what a question is worth on average shifts the whole curve and says
    nothing about its shape. Where a temperature answered some of them only, it is placed by its difference, on these,
    from the temperatures that answered all.

    The noise is the binomial p (1 - p) / questions, times the share of it that pairing leaves. The share is one number
    for the whole sweep, since the scatter of a single temperature is itself too noisy to weigh points by.
    """
    asked = max(outcomes.values(), key=len)
    whole = [of for of in outcomes.values() if len(of) == len(asked)]
    level = {question: sum(of[question] for of in whole) / len(whole) for question in asked}
    middle = mean(list(level.values()))
    differences = {
        temperature: [value - level[question] for question, value in of.items()] for temperature, of in outcomes.items()
    }
    # With a success and a failure added half each, as nothing is certain after a few questions.
    binomial = {
        temperature: (share := (sum(of.values()) + 0.5) / (len(of) + 1)) * (1 - share)
        for temperature, of in outcomes.items()
    }
    # Variance of the paired differences, summed over temperatures, against the sum of the binomial ones.
    left = sum(sum(one * one for one in found) / len(found) - mean(found) ** 2 for found in differences.values())
    share = min(1.0, max(LEAST_NOISE, left / sum(binomial.values())))
    return [
        Point(temperature, middle + mean(found), share * binomial[temperature] / len(found))
        for temperature, found in sorted(differences.items())
    ]


LEAST_NOISE = 0.05
"""Share of the binomial noise that is assumed to be left at least, where few questions happen to agree."""


def pass_outcomes(rows: Iterable[RolloutRow], k: int) -> dict[float, dict[str, float]]:
    """Pass@K of each question at each temperature of a sweep."""
    found: dict[float, dict[str, float]] = defaultdict(dict)
    for row in rows:
        # The unbiased estimate, which has less noise than asking whether the first k hold a correct one.
        found[row.temperature][row.question.id] = mean_pass_at_k([row], k)
    return dict(found)


def reward_pass_outcomes(
    rows: Iterable[RolloutRow], scores: Iterable[ScoreRow], k: int, seed: int, rule: RewardRule = MINIMUM
) -> dict[float, dict[str, float]]:
    """Whether each question counts in Reward-Pass@K at each temperature; `scores` stand in step with `rows`."""
    found: dict[float, dict[str, float]] = defaultdict(dict)
    for row, score in zip(rows, scores, strict=True):
        found[row.temperature][row.question.id] = reward_pass_at_k([row], [score], k, seed, rule)
    return dict(found)


def curve_of(outcomes: Outcomes) -> dict[float, float]:
    """The metric at each temperature, from the coldest."""
    return {temperature: mean(list(outcomes[temperature].values())) for temperature in sorted(outcomes)}


def recorded(curve: Mapping[float, float]) -> dict[str, float]:
    """The curve as it stands in results: temperatures as text with at least one decimal, from the coldest."""
    return {repr(float(temperature)): curve[temperature] for temperature in sorted(curve)}


def _require(sweep: Mapping[float, object]) -> None:
    if not sweep:
        raise InvalidInput("the sweep has no temperature to choose from", field="exploration.grid")
