"""The PRM's training set: all labelled solutions, with hard labels or balanced if the recipe says so."""

import gzip
from collections.abc import Iterator

from mstar.metrics import mean
from mstar.recipes import LabelRule
from mstar.seeds import derive
from mstar.stages.collect import CollectParams, CollectResult
from mstar.step_names import PREPARE
from mstar.types import StepLabelRow
from mstar_coordinator.worker.context import ClaimedStep, Output
from mstar_coordinator.worker.steps.prepare import GIVEN

MIDDLE = 0.5
"""A solution whose least label is below this counts as poor when the set is balanced."""


def run(step: ClaimedStep[CollectParams]) -> Output[CollectResult]:
    """Output: the rows, in the order of their shards."""
    params = step.params
    source = given_rows(step) if params.given else step.rows(params.rows, StepLabelRow)
    rows = [_ruled(row, params.label) for row in source]
    kept = balanced(rows, step.recipe.seed) if params.balance else rows
    labels = [label for row in kept for label in row.labels]
    result = CollectResult(
        solutions=len(rows), kept=len(kept), steps=len(labels), mean_label=mean(labels) if labels else 0.0
    )
    return step.use.store.write_rows(step.claim.output_id, kept, {"label": params.label.value}), result


def given_rows(step: ClaimedStep[CollectParams]) -> Iterator[StepLabelRow]:
    """Solutions with labelled steps that the data set brought, as the first step prepared them."""
    path = step.use.store.verify(step.artefact(PREPARE)) / GIVEN
    with gzip.open(path, "rb") as lines:
        for line in lines:
            yield StepLabelRow.model_validate_json(line)


def balanced(rows: list[StepLabelRow], seed: int) -> list[StepLabelRow]:
    """As many poor solutions as good ones, dropping some of the larger side by seed; all of them if a side is empty."""
    # By the least label, since one wrong step makes a solution wrong.
    poor = [row for row in rows if min(row.labels) < MIDDLE]
    good = [row for row in rows if min(row.labels) >= MIDDLE]
    size = min(len(poor), len(good))
    if not size:
        return rows
    drawn = [sorted(side, key=lambda row: derive(seed, "balance", row.id))[:size] for side in (poor, good)]
    chosen = {row.id for side in drawn for row in side}
    return [row for row in rows if row.id in chosen]


def _ruled(row: StepLabelRow, rule: LabelRule) -> StepLabelRow:
    if rule is LabelRule.SOFT:
        return row
    # Hard estimation: a step is good if any completion from it reaches the answer (Math-Shepherd, arXiv 2312.08935).
    return row.model_copy(update={"labels": tuple(float(label > 0) for label in row.labels)})
