"""One line of the results table: greedy accuracy on the tests, and the sampled metrics on validation."""

from mstar.marks import marks_of
from mstar.metrics import (
    best_of_n,
    by_task,
    greedy_accuracy,
    headroom,
    mean_pass_at_k,
    reward_pass_at_k,
    sampled_accuracy,
    sound_among_correct,
)
from mstar.stages.evaluate import Accuracy, EvaluateParams, EvaluateResult
from mstar.types import RolloutRow, ScoreRow
from mstar_coordinator.worker.context import ClaimedStep, Output

KEPT = 2
"""K of Reward-Pass@K: training keeps two (paper, section 4)."""


def run(step: ClaimedStep[EvaluateParams]) -> Output[EvaluateResult]:
    """No artefact: the result is the line."""
    params = step.params
    greedy = list(step.rows(params.greedy, RolloutRow))
    sampled = list(step.rows(params.sampled, RolloutRow))
    scores = list(step.rows(params.scores, ScoreRow))
    by_split = {name: [row for row in greedy if row.question.split == name] for name in step.recipe.tests}
    shares = {name: greedy_accuracy(rows) for name, rows in by_split.items() if rows}
    accuracy = Accuracy(
        id=shares.pop("test_id"), ood=shares.pop("test_ood", None), by_task=by_task(by_split["test_id"]), sets=shares
    )
    pass_at_k = mean_pass_at_k(sampled, params.k)
    seed, rule = step.recipe.seed, step.recipe.reward_rule
    return None, EvaluateResult(
        label=params.label,
        greedy=accuracy,
        pass_at_k=pass_at_k,
        k=params.k,
        reward_pass_at_2=reward_pass_at_k(sampled, scores, KEPT, seed, rule) if scores else None,
        sampled_accuracy=sampled_accuracy(sampled),
        headroom=headroom(pass_at_k, accuracy.id),
        best_of_n=best_of_n(sampled, scores, seed, rule) if scores else None,
        sound_among_correct=sound_among_correct(sampled),
        marks={name: marks_of(rows) for name, rows in by_split.items() if rows},
    )
