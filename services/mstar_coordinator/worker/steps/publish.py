"""The last step: policy, PRM, the two data sets with their cards, and the report, in the run's folder."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mstar.prm_schemes import DECLARATION, OWN, LabelTokens
from mstar.prompts import PROMPT_FILE, PromptForm
from mstar.results import RunResults
from mstar.stages.generate import GENERATE
from mstar.stages.publish import PUBLISHED, PublishParams
from mstar.step_names import FETCH, PREPARE, iteration_of, sibling
from mstar.steps import DoneResult
from mstar.types import RolloutRow, ScoreRow, SelectedRow, StepLabelRow
from mstar_artefacts.store import SCORES
from mstar_coordinator.export import cards
from mstar_coordinator.export.datasets import write_cot, write_step_labels
from mstar_coordinator.export.folders import digest_of_all, replace_folder, replace_text
from mstar_coordinator.export.report import ShownSample, render_report
from mstar_coordinator.worker.context import ClaimedStep, Output

MODEL = "model"
SHOWN_QUESTIONS = 12
"""Questions of each shown iteration in the report."""


@dataclass(frozen=True)
class _Publication:
    """What all that a run publishes shares."""

    step: ClaimedStep[PublishParams]
    folder: Path
    """The run's folder."""
    results: RunResults
    licence: str


def run(step: ClaimedStep[PublishParams]) -> Output[DoneResult]:
    """No artefact: the folders stand in the run's folder, and doing it again replaces them."""
    began = time.monotonic()
    model = step.use.store.verify(step.artefact(PREPARE), MODEL)
    run_id = step.claim.run_id
    publication = _Publication(step, step.use.home / run_id, step.use.results(run_id), cards.licence_of(model))
    _publish_policy(publication)
    step.progress(1, 3)
    _publish_cot(publication)
    step.progress(2, 3)
    if step.params.prm is not None:
        _publish_prm(publication, step.params.prm)
    report = render_report(publication.results, _samples(step))
    replace_text(publication.folder / "report.html", report)
    digests = {place: digest_of_all(publication.folder / place) for place in PUBLISHED.values()}
    left = {place: digest for place, digest in digests.items() if digest is not None}
    return None, DoneResult(seconds=time.monotonic() - began, left=left)


def _publish_policy(out: _Publication) -> None:
    source = out.step.use.store.verify(out.step.artefact(out.step.params.policy), MODEL)
    card = cards.policy_card(out.results, out.licence)
    form = out.step.recipe.form
    replace_folder(out.folder / "policy", lambda folder: _copy_model(source, folder, card, form))


def _publish_cot(out: _Publication) -> None:
    rows = list(out.step.rows(out.step.params.selections, SelectedRow))
    text = (
        "Chains of thought that were sampled, found correct and selected for training. Those that the PRM ranked have "
        "its step scores; `mstar data export` scores the others."
    )

    def fill(folder: Path) -> None:
        count = write_cot(folder, rows, out.step.use.images, out.step.recipe.form)
        card = cards.dataset_card(out.results, out.licence, "CoT data set", text, count)
        (folder / "README.md").write_text(card, encoding="utf-8")

    replace_folder(out.folder / "cot_dataset", fill)


def _publish_prm(out: _Publication, prm: str) -> None:
    source = out.step.use.store.verify(out.step.artefact(prm), MODEL)
    collected = out.step.params.collected
    if collected is None:
        form, card = None, cards.published_prm_card(out.results, cards.licence_of(source))
    else:
        form, card = out.step.recipe.form, cards.prm_card(out.results, _prm_licence(out), _scheme(source))
    replace_folder(out.folder / "prm", lambda folder: _copy_model(source, folder, card, form))
    if collected is not None:
        _publish_labels(out, collected)


def _prm_licence(out: _Publication) -> str:
    """Of the model that the PRM was trained from, where it has a base of its own."""
    if out.results.recipe.prm is None or out.results.recipe.prm.base is None:
        return out.licence
    return cards.licence_of(out.step.use.store.verify(out.step.artefact(FETCH), MODEL))


def _scheme(model: Path) -> LabelTokens:
    """How a PRM of our trainer scores steps."""
    declared = model / DECLARATION
    return LabelTokens.model_validate_json(declared.read_bytes()) if declared.is_file() else OWN


def _publish_labels(out: _Publication, collected: str) -> None:
    rows = list(out.step.rows((collected,), StepLabelRow))
    apart = cards.steps_apart(out.results.recipe.form.step_separator)
    text = (
        "Solutions with a Monte-Carlo label after every step, in the columns of TRL's stepwise supervision: `labels` "
        f"says whether any completion reached the answer, `soft_labels` which share of them did. {apart}."
    )

    def fill(folder: Path) -> None:
        count = write_step_labels(folder, rows, out.step.use.images)
        made = cards.dataset_card(out.results, out.licence, "PRM data set", text, count)
        (folder / "README.md").write_text(made, encoding="utf-8")

    replace_folder(out.folder / "prm_dataset", fill)


def _copy_model(source: Path, folder: Path, card: str, form: PromptForm | None) -> None:
    """The model with its card, and with the form of its prompts where the run has trained it."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    if form is not None:
        (folder / PROMPT_FILE).write_text(form.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card, encoding="utf-8")


def _samples(step: ClaimedStep[PublishParams]) -> list[ShownSample]:
    """Some questions of the first and of the last iteration, with what was kept of their responses."""
    return [sample for name in step.params.shown for sample in _of_shard(step, name)]


def _of_shard(step: ClaimedStep[PublishParams], selection: str) -> list[ShownSample]:
    store, images = step.use.store, step.use.images
    # By the claim and not by this run's name: a run of a study may have taken the shard over from another.
    given = step.claim.inputs.get(sibling(selection, GENERATE.kind))
    shard = None if given is None else given.artefact
    # Shown and nothing more: a report without them is better than none, where somebody has removed them to make room.
    if shard is None or store.find(shard.id) is None:
        return []
    scores = {row.question_id: row for row in store.rows(step.artefact(selection), ScoreRow, SCORES)}
    kept: dict[str, set[int]] = {}
    for row in step.rows((selection,), SelectedRow):
        kept.setdefault(row.question.id, set()).add(row.index)
    return [
        ShownSample(
            question=row.question,
            images=tuple(images.get(one) for one in row.question.images),
            rollouts=row,
            scores=scores.get(row.question.id),
            kept=frozenset(kept.get(row.question.id, ())),
            iteration=iteration_of(selection) or 0,
        )
        for row in _telling(list(store.rows(shard, RolloutRow)), scores)
    ]


def _telling(rows: Sequence[RolloutRow], scores: Mapping[str, ScoreRow]) -> list[RolloutRow]:
    """The first questions, those before others whose choice hung on the PRM: elsewhere no response has a score."""

    def decided(row: RolloutRow) -> bool:
        found = scores.get(row.question.id)
        return found is None or not found.responses

    return sorted(rows, key=decided)[:SHOWN_QUESTIONS]
