"""One line of the results table: greedy accuracy on the tests, and the sampled metrics on validation."""

from collections.abc import Mapping, Sequence

from mstar.exploration import curve_of, pass_outcomes, recorded
from mstar.judges.in_runs import line_of, official_sets
from mstar.judges.tables import TableRow
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
from mstar.ranking_quality import ranking_quality
from mstar.recipes import Recipe
from mstar.stages.evaluate import Accuracy, EvaluateParams, EvaluateResult, OnValidation
from mstar.step_names import PREPARE
from mstar.types import RolloutRow, ScoreRow
from mstar.voting import vote_accuracy
from mstar_coordinator.worker.context import ClaimedStep, Output
from mstar_coordinator.worker.published import items_by_question

KEPT = 2
"""K of Reward-Pass@K: training keeps two (paper, section 4)."""
VALIDATION = "validation"


def run(step: ClaimedStep[EvaluateParams]) -> Output[EvaluateResult]:
    """No artefact: the result is the line."""
    params = step.params
    greedy = list(step.rows(params.greedy, RolloutRow))
    sampled = list(step.rows(params.sampled, RolloutRow))
    scores = list(step.rows(params.scores, ScoreRow))
    spread = list(step.rows(params.spread, RolloutRow))
    seed, rule = step.recipe.seed, step.recipe.reward_rule
    pass_at_k = mean_pass_at_k(sampled, params.k)
    by_split = {name: [row for row in greedy if row.question.split == name] for name in step.recipe.tests}
    # A run of an earlier version has none on validation.
    beside = [row for row in greedy if row.question.split == VALIDATION]
    on_validation = greedy_accuracy(beside) if beside else None
    return None, EvaluateResult(
        label=params.label,
        greedy=_accuracy(by_split, _official(step, by_split)),
        pass_at_k=pass_at_k,
        k=params.k,
        reward_pass_at_2=reward_pass_at_k(sampled, scores, KEPT, seed, rule) if scores else None,
        sampled_accuracy=sampled_accuracy(sampled),
        headroom=None if on_validation is None else headroom(pass_at_k, on_validation),
        best_of_n=best_of_n(sampled, scores, seed, rule) if scores else None,
        sound_among_correct=sound_among_correct(sampled),
        marks={name: marks_of(rows) for name, rows in by_split.items() if rows},
        validation=_on_validation(step.recipe, params.k, on_validation, sampled, scores, spread),
    )


def _official(step: ClaimedStep[EvaluateParams], by_split: Mapping[str, Sequence[RolloutRow]]) -> dict[str, TableRow]:
    """The table's line of each published benchmark."""
    return {
        name: line_of(benchmark, items_by_question(step.use.store, step.artefact(PREPARE), name), by_split[name])
        for name, benchmark in official_sets(step.recipe).items()
        if by_split.get(name)
    }


def _accuracy(by_split: Mapping[str, Sequence[RolloutRow]], official: Mapping[str, TableRow]) -> Accuracy:
    shares = {name: greedy_accuracy(rows) for name, rows in by_split.items() if rows}
    groups = {name: by_task(rows) for name, rows in by_split.items() if rows}
    # A published benchmark counts as its own table says, which may weigh groups or rotations.
    shares |= {name: line.average.share for name, line in official.items()}
    groups |= {name: {column: cell.share for column, cell in line.columns.items()} for name, line in official.items()}
    return Accuracy(
        id=shares.pop("test_id"),
        ood=shares.pop("test_ood", None),
        by_task=groups["test_id"],
        sets=shares,
        groups=groups,
    )


def _on_validation(
    recipe: Recipe,
    k: int,
    greedy: float | None,
    sampled: Sequence[RolloutRow],
    scores: Sequence[ScoreRow],
    spread: Sequence[RolloutRow],
) -> OnValidation:
    seed, rule, answers, place = recipe.seed, recipe.reward_rule, recipe.answers, recipe.form.answer
    min_steps = recipe.evolution.selection.min_steps
    # Scores come in the order of the rows that they score, as `score` and `select` write them.
    pairs = zip(sampled, scores, strict=True) if scores else ()
    return OnValidation(
        greedy=greedy,
        majority=vote_accuracy(sampled, None, answers, place, seed),
        weighted_vote=vote_accuracy(sampled, scores, answers, place, seed, rule) if scores else None,
        best_of_n=best_of_n(sampled, scores, seed, rule) if scores else None,
        # The evaluation's own temperature last, so that it counts where both have it.
        pass_by_temperature=recorded(curve_of(pass_outcomes([*spread, *sampled], k))),
        ranking=ranking_quality(pairs, rule, min_steps),
    )
