"""The last step: policy, PRM, the two data sets with their cards, and the report, in the run's folder."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mstar.api.steps import Claim
from mstar.results import RunResults
from mstar.steps import DoneResult, PublishParams
from mstar.types import RolloutRow, ScoreRow, SelectedRow, StepLabelRow
from mstar_artefacts.store import SCORES
from mstar_coordinator.worker.context import Context, Done, artefact_of, rows_of
from mstar_coordinator.worker.export import cards
from mstar_coordinator.worker.export.datasets import write_cot, write_step_labels
from mstar_coordinator.worker.export.folders import replace_folder, replace_text
from mstar_coordinator.worker.export.report import Sample, render_report
from mstar_worker.lease import Progress

MODEL = "model"
SHOWN_QUESTIONS = 12
"""Questions of each shown iteration in the report."""


def run(claim: Claim, progress: Progress, context: Context) -> Done:
    """No artefact: the folders stand in the run's folder, and doing it again replaces them."""
    began = time.monotonic()
    params = claim.step.params
    assert isinstance(params, PublishParams)
    run_folder = context.home / claim.run_id
    results = context.results(claim.run_id)
    licence = cards.licence_of(context.store.verify(artefact_of(claim, "prepare"), MODEL))
    _publish_policy(claim, params, context, run_folder, results, licence)
    progress(1, 3)
    _publish_cot(claim, params, context, run_folder, results, licence)
    progress(2, 3)
    if params.prm is not None:
        _publish_prm(claim, params, context, run_folder, results, licence)
    replace_text(run_folder / "report.html", render_report(results, _samples(claim, params, context)))
    return None, DoneResult(seconds=time.monotonic() - began)


def _publish_policy(
    claim: Claim, params: PublishParams, context: Context, run_folder: Path, results: RunResults, licence: str
) -> None:
    source = context.store.verify(artefact_of(claim, params.policy), MODEL)
    card = cards.policy_card(results, licence)
    replace_folder(run_folder / "policy", lambda folder: _copy_model(source, folder, card))


def _publish_cot(
    claim: Claim, params: PublishParams, context: Context, run_folder: Path, results: RunResults, licence: str
) -> None:
    rows = list(rows_of(context, claim, params.selections, SelectedRow))
    text = "Chains of thought that were sampled, found correct and selected for training, with their step scores."

    def fill(folder: Path) -> None:
        count = write_cot(folder, rows, context.images)
        card = cards.dataset_card(results, licence, "CoT data set", text, count)
        (folder / "README.md").write_text(card, encoding="utf-8")

    replace_folder(run_folder / "cot_dataset", fill)


def _publish_prm(
    claim: Claim, params: PublishParams, context: Context, run_folder: Path, results: RunResults, licence: str
) -> None:
    assert params.prm is not None
    source = context.store.verify(artefact_of(claim, params.prm), MODEL)
    card = cards.prm_card(results, licence)
    replace_folder(run_folder / "prm", lambda folder: _copy_model(source, folder, card))
    collected = (params.collected,) if params.collected else ()
    rows = list(rows_of(context, claim, collected, StepLabelRow))
    text = "Solutions with a Monte-Carlo label after every step, in TRL's stepwise supervision columns, and images."

    def fill(folder: Path) -> None:
        count = write_step_labels(folder, rows, context.images)
        made = cards.dataset_card(results, licence, "PRM data set", text, count)
        (folder / "README.md").write_text(made, encoding="utf-8")

    replace_folder(run_folder / "prm_dataset", fill)


def _copy_model(source: Path, folder: Path, card: str) -> None:
    shutil.copytree(source, folder, dirs_exist_ok=True)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _samples(claim: Claim, params: PublishParams, context: Context) -> list[Sample]:
    """Some questions of the first and of the last iteration, with what was kept of their responses."""
    first_shards = [name for name in params.selections if name.endswith("/0000")]
    shown = dict.fromkeys((*first_shards[:1], *first_shards[-1:]))
    return [sample for name in shown for sample in _of_shard(claim, name, context)]


def _of_shard(claim: Claim, selection: str, context: Context) -> list[Sample]:
    iteration = selection.partition("/")[0]
    shard = context.store.find(f"{claim.run_id}/{selection.replace('/select/', '/generate/')}")
    if shard is None:
        return []
    scores = {row.question_id: row for row in context.store.rows(artefact_of(claim, selection), ScoreRow, SCORES)}
    kept: dict[str, set[int]] = {}
    for row in rows_of(context, claim, (selection,), SelectedRow):
        kept.setdefault(row.question.id, set()).add(row.index)
    return [
        Sample(
            question=row.question,
            image=context.images.get(row.question.image),
            rollouts=row,
            scores=scores.get(row.question.id),
            kept=frozenset(kept.get(row.question.id, ())),
            iteration=int(iteration.removeprefix("it")),
        )
        for row in _telling(list(context.store.rows(shard, RolloutRow)), scores)
    ]


def _telling(rows: Sequence[RolloutRow], scores: Mapping[str, ScoreRow]) -> list[RolloutRow]:
    """The first questions, those before others whose choice hung on the PRM: elsewhere no response has a score."""

    def decided(row: RolloutRow) -> bool:
        found = scores.get(row.question.id)
        return found is None or not found.responses

    return sorted(rows, key=decided)[:SHOWN_QUESTIONS]
