"""The first step: questions of every split and the base model become one artefact, images go to the image store."""

import gzip
import shutil
import time
from collections.abc import Iterable
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel

from minivista.builtin import BUILTINS
from mstar.data_check import DataCheck
from mstar.errors import StaleEpoch
from mstar.evolution import UNLABELLED
from mstar.model_folder import model_files, read_json
from mstar.model_types import UNTRIED, untried_lines
from mstar.prompts import prompt_text
from mstar.recipes import STEPS, ModelRecipe, Recipe
from mstar.stages.prepare import PrepareParams, PrepareResult
from mstar.steps import ArtefactRef
from mstar.types import Question, StepLabelRow
from mstar_artefacts.store import COMPRESSION, ArtefactStore
from mstar_coordinator.dataset_check import DatasetCheck, own_splits
from mstar_coordinator.dataset_rows import DatasetRow
from mstar_coordinator.dataset_source import Opened, open_source
from mstar_coordinator.pixel_bounds import write_bounds
from mstar_coordinator.worker.context import ClaimedStep, Output
from mstar_coordinator.worker.published import Tested, fill_benchmarks
from mstar_data.importing import Unfinished
from mstar_data.looks import Looks

log = structlog.get_logger(__name__)
PROGRESS_EVERY = 50
GIVEN = "steps.jsonl.gz"
"""Solutions whose steps the data set labels."""


def run(step: ClaimedStep[PrepareParams]) -> Output[PrepareResult]:
    """Output: `questions/<split>.jsonl.gz` and `model/`.

    Raises InvalidDataset for records that cannot be used, before anything is sampled or trained.
    """
    began = time.monotonic()
    data, model = step.recipe.data, step.recipe.model
    measure = step.recipe.measure
    found = DataCheck()

    def fill(folder: Path) -> None:
        nonlocal found
        (folder / "questions").mkdir()
        with step.use.looks() as looks:
            tests = fill_benchmarks(folder, step, looks)
            if measure is not None:
                pass  # what is measured is read from the benchmarks' files alone
            elif data.source in BUILTINS:
                _fill_builtin(folder, step)
            else:
                found = _fill(folder, step, looks, tests)
        copy_model(source_of(step, model.base, measure.checkpoint if measure else None), folder / "model", model)
        # Before the artefact is sealed: its questions name these images, which must be as durable as it is.
        step.use.images.settle()

    ref = step.use.store.write(step.claim.output_id, fill, {"data": data.source, "model": model.base})
    untried = _untried(step.recipe)
    for line in untried_lines(untried):
        log.warning(line, run=step.claim.run_id)
    return ref, PrepareResult(seconds=time.monotonic() - began, data=found, untried=untried)


def _untried(recipe: Recipe) -> tuple[str, ...]:
    """Types of the run's own models that were never tried; that they are allowed, admission has seen."""
    folders = [Path(base) for base in recipe.named_models.values() if base not in BUILTINS]
    types = {str(read_json(folder, "config.json").get("model_type")) for folder in folders}
    return tuple(sorted(types & UNTRIED))


def _fill_builtin(folder: Path, step: ClaimedStep[PrepareParams]) -> None:
    builtin = BUILTINS[step.recipe.data.source]
    splits, oracle = own_splits(step.recipe), step.recipe.evolution.unlabelled.oracle
    done, total = 0, sum(splits.values())
    for split, count in splits.items():
        with _questions_file(folder, split) as out:
            for question, png in builtin.load_split(split, count, oracle=oracle) if count else ():
                step.use.images.put(png)
                _write(out, _as_seen(question, oracle))
                done += 1
                if done % PROGRESS_EVERY == 0:
                    step.progress(done, total)


def _fill(folder: Path, step: ClaimedStep[PrepareParams], looks: Looks, tests: Iterable[Tested]) -> DataCheck:
    """The records of a folder, each of them checked. Raises InvalidDataset."""
    splits, oracle = own_splits(step.recipe), step.recipe.evolution.unlabelled.oracle
    total = sum(splits.values())
    with ExitStack() as stack:
        files = {
            split: stack.enter_context(_zipped(folder / GIVEN) if split == STEPS else _questions_file(folder, split))
            for split in splits
        }
        check = DatasetCheck.of(step.recipe, looks, opened=_opened(step, looks, total))
        for test in tests:
            check.add_test(*test)
        for sound in check.rows():
            stored = tuple(map(step.use.images.put, sound.images))
            question = sound.row.question.model_copy(update={"images": stored})
            split = question.split
            kept = _solution(sound.row, question, step) if split == STEPS else _as_seen(question, oracle)
            _write(files[split], kept)
            if check.looked % PROGRESS_EVERY == 0:
                # More records are looked at than are used where some are left out.
                step.progress(min(check.looked, total), total)
        return check.result()


def _opened(step: ClaimedStep[PrepareParams], looks: Looks, total: int) -> Opened:
    """The folder of the records. Raises StaleEpoch once the lease is lost; what is imported by then is kept."""
    read = 0

    def turn() -> None:
        nonlocal read
        read += 1
        if read % PROGRESS_EVERY == 0:
            try:
                step.progress(0, total)
            # The importer keeps its work only for this error, so the reason travels as its cause.
            except StaleEpoch as lost:
                raise Unfinished from lost

    try:
        return open_source(step.recipe, own_splits(step.recipe), step.use.home, looks, turn, reach=step.claim.reach)
    except Unfinished as stopped:
        raise stopped.__cause__ or stopped from None


def _solution(row: DatasetRow, question: Question, step: ClaimedStep[PrepareParams]) -> StepLabelRow:
    """A labelled solution, put as the run puts its questions."""
    form = step.recipe.form
    return StepLabelRow(
        id=question.id,
        prompt=prompt_text(question, form),
        completions=row.steps,
        labels=row.labels,
        images=question.images,
        answer=question.answer,
        mc_successes=(),
        mc_rollouts=(),
        weight_version="",
        system=form.system,
    )


def _questions_file(folder: Path, split: str) -> gzip.GzipFile:
    return _zipped(folder / "questions" / f"{split}.jsonl.gz")


def _zipped(path: Path) -> gzip.GzipFile:
    return gzip.GzipFile(path, "wb", COMPRESSION, mtime=0)


def _write(out: gzip.GzipFile, row: BaseModel) -> None:
    out.write(row.model_dump_json().encode() + b"\n")


def source_of(step: ClaimedStep[Any], base: str, checkpoint: ArtefactRef | None) -> str:
    """Where a model is copied from: the checkpoint of a run that an evaluation measures, else what the recipe names.

    Raises NotFound or CorruptArtefact for a checkpoint that is gone.
    """
    return base if checkpoint is None else str(step.use.store.verify(checkpoint, "model"))


def copy_model(base: str, target: Path, model: ModelRecipe) -> None:
    """Copies, since a link would change with its source: the files of the model and nothing else of the folder.

    The pixel bounds of the recipe's `model` stand in the copy.
    """
    source = BUILTINS[base].model if base in BUILTINS else Path(base)
    target.mkdir()
    for path in model_files(source):
        shutil.copyfile(path, target / path.name)
    write_bounds(target, model)


def _as_seen(question: Question, oracle: bool) -> Question:
    """As the run may see it: even an answer that the data set has of an unlabelled question must reach no worker."""
    if question.split != UNLABELLED or oracle:
        return question
    return question.model_copy(update={"answer": None, "gold_steps": ()})


@lru_cache(maxsize=8)
def questions(store: ArtefactStore, prepared: ArtefactRef, split: str) -> tuple[Question, ...]:
    """All questions of a split, in the data set's order."""
    path = store.verify(prepared) / "questions" / f"{split}.jsonl.gz"
    with gzip.open(path, "rb") as lines:
        return tuple(Question.model_validate_json(line) for line in lines)
