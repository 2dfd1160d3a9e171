"""The temperature controller: the sweep's shards become a curve, and the curve a choice."""

from mstar.exploration import (
    Outcomes,
    choose,
    choose_by_fit,
    curve_of,
    pass_outcomes,
    recorded,
    reward_pass_outcomes,
)
from mstar.recipes import Estimator, ExplorationMode
from mstar.stages.choose import ChooseParams, ChooseResult
from mstar.types import RolloutRow, ScoreRow
from mstar_coordinator.worker.context import ClaimedStep, Output


def run(step: ClaimedStep[ChooseParams]) -> Output[ChooseResult]:
    """No artefact: the result holds the whole curve."""
    params = step.params
    rows = list(step.rows(params.rows, RolloutRow))
    if params.mode is ExplorationMode.PASS:
        outcomes = pass_outcomes(rows, params.k)
    else:
        scores = list(step.rows(params.scores, ScoreRow))
        outcomes = reward_pass_outcomes(rows, scores, params.k, step.recipe.seed, step.recipe.reward_rule)
    # A tie, or a difference that is doubtful, keeps the temperature of before.
    current = step.result(params.previous, ChooseResult).chosen if params.previous else params.current
    chosen, fitted, probability = _chosen(params, outcomes, current)
    return None, ChooseResult(
        iteration=params.iteration,
        curve=recorded(curve_of(outcomes)),
        chosen=chosen,
        fitted=recorded(fitted),
        probability=probability,
        pass_at_k=recorded(curve_of(pass_outcomes(rows, params.passes))),
        passes=params.passes,
    )


def _chosen(params: ChooseParams, outcomes: Outcomes, current: float) -> tuple[float, dict[float, float], float | None]:
    """The choice, and what the smooth curve says where the estimator draws one."""
    if params.estimator is Estimator.ARGMAX:
        return choose(curve_of(outcomes), current), {}, None
    made = choose_by_fit(outcomes, current, params.confidence)
    return made.chosen, made.fitted, made.probability
