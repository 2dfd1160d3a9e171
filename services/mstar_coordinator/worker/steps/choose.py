"""The temperature controller: the sweep's shards become a curve, and the curve a choice."""

from mstar.api.steps import Claim
from mstar.exploration import choose, pass_curve, recorded, reward_pass_curve
from mstar.recipes import ExplorationMode
from mstar.steps import ChooseParams, ChooseResult
from mstar.types import RolloutRow, ScoreRow
from mstar_coordinator.worker.context import Context, Done, rows_of
from mstar_worker.lease import Progress


def run(claim: Claim, progress: Progress, context: Context) -> Done:
    """No artefact: the result holds the whole curve."""
    params = claim.step.params
    assert isinstance(params, ChooseParams)
    rows = list(rows_of(context, claim, params.rows, RolloutRow))
    if params.mode is ExplorationMode.PASS:
        curve = pass_curve(rows, params.k)
    else:
        scores = list(rows_of(context, claim, params.scores, ScoreRow))
        curve = reward_pass_curve(rows, scores, params.k, claim.recipe.seed)
    chosen = choose(curve, _current(claim, params))
    return None, ChooseResult(iteration=params.iteration, curve=recorded(curve), chosen=chosen)


def _current(claim: Claim, params: ChooseParams) -> float:
    before = claim.inputs[params.previous].result if params.previous else None
    return before.chosen if isinstance(before, ChooseResult) else params.current
