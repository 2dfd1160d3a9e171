"""The temperature controller: the sweep's shards become a curve, and the curve a choice."""

from mstar.exploration import choose, pass_curve, recorded, reward_pass_curve
from mstar.recipes import ExplorationMode
from mstar.stages.choose import ChooseParams, ChooseResult
from mstar.types import RolloutRow, ScoreRow
from mstar_coordinator.worker.context import ClaimedStep, Output


def run(step: ClaimedStep[ChooseParams]) -> Output[ChooseResult]:
    """No artefact: the result holds the whole curve."""
    params = step.params
    rows = list(step.rows(params.rows, RolloutRow))
    if params.mode is ExplorationMode.PASS:
        curve = pass_curve(rows, params.k)
    else:
        scores = list(step.rows(params.scores, ScoreRow))
        curve = reward_pass_curve(rows, scores, params.k, step.recipe.seed, step.recipe.reward_rule)
    current = step.result(params.previous, ChooseResult).chosen if params.previous else params.current
    chosen = choose(curve, current)
    return None, ChooseResult(iteration=params.iteration, curve=recorded(curve), chosen=chosen)
