"""The first step: questions of every split and the base model become one artefact, images go to the image store."""

import gzip
import shutil
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from minivista.builtin import BUILTINS
from mstar.evolution import UNLABELLED
from mstar.model_folder import model_files
from mstar.prompts import prompt_text
from mstar.recipes import STEPS, DataRecipe, ModelRecipe
from mstar.stages.prepare import PrepareParams
from mstar.steps import ArtefactRef, DoneResult
from mstar.types import Question, StepLabelRow
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import COMPRESSION, ArtefactStore
from mstar_coordinator.pixel_bounds import write_bounds
from mstar_coordinator.worker.context import ClaimedStep, Output
from mstar_coordinator.worker.steps.dataset_reader import read_solutions, read_split

PROGRESS_EVERY = 50
GIVEN = "steps.jsonl.gz"
"""Solutions whose steps the data set labels."""


def run(step: ClaimedStep[PrepareParams]) -> Output[DoneResult]:
    """Output: `questions/<split>.jsonl.gz` and `model/`."""
    began = time.monotonic()
    data, model = step.recipe.data, step.recipe.model
    splits = step.recipe.splits
    oracle = step.recipe.evolution.unlabelled.oracle
    total = sum(splits.values())

    def fill(folder: Path) -> None:
        (folder / "questions").mkdir()
        done = 0
        for split, count in splits.items():
            if split == STEPS:
                _write_steps(folder / GIVEN, step, count)
                done += count
                continue
            with gzip.GzipFile(folder / "questions" / f"{split}.jsonl.gz", "wb", COMPRESSION, mtime=0) as out:
                for found in _questions(data, split, count, step.use.images, oracle):
                    question = _without_answer(found) if split == UNLABELLED and not oracle else found
                    out.write(question.model_dump_json().encode() + b"\n")
                    done += 1
                    if done % PROGRESS_EVERY == 0:
                        step.progress(done, total)
        copy_model(model.base, folder / "model", model)
        step.use.images.settle()

    ref = step.use.store.write(step.claim.output_id, fill, {"data": data.source, "model": model.base})
    return ref, DoneResult(seconds=time.monotonic() - began)


def _write_steps(path: Path, step: ClaimedStep[PrepareParams], count: int) -> None:
    """The labelled solutions, put as the run puts its questions."""
    form = step.recipe.form
    with gzip.GzipFile(path, "wb", COMPRESSION, mtime=0) as out:
        for row, question in read_solutions(Path(step.recipe.data.source), count, step.use.images):
            solution = StepLabelRow(
                id=question.id,
                prompt=prompt_text(question, form),
                completions=row.steps,
                labels=row.labels,
                image=question.image,
                answer=question.answer,
                mc_successes=(),
                mc_rollouts=(),
                weight_version="",
                system=form.system,
            )
            out.write(solution.model_dump_json().encode() + b"\n")


def _questions(data: DataRecipe, split: str, count: int, images: ImageStore, oracle: bool) -> Iterator[Question]:
    if not count:
        return
    builtin = BUILTINS.get(data.source)
    if builtin is None:
        yield from read_split(Path(data.source), split, count, images)
        return
    for question, png in builtin.load_split(split, count, oracle=oracle):
        images.put(png)
        yield question


def copy_model(base: str, target: Path, model: ModelRecipe) -> None:
    """Copies, since a link would change with its source: the files of the model and nothing else of the folder.

    The pixel bounds of the recipe's `model` stand in the copy.
    """
    source = BUILTINS[base].model if base in BUILTINS else Path(base)
    target.mkdir()
    for path in model_files(source):
        shutil.copyfile(path, target / path.name)
    write_bounds(target, model)


def _without_answer(question: Question) -> Question:
    """As the run may see an unlabelled question: even an answer that the data set has must not reach any worker."""
    return question.model_copy(update={"answer": None, "gold_steps": ()})


@lru_cache(maxsize=8)
def questions(store: ArtefactStore, prepared: ArtefactRef, split: str) -> tuple[Question, ...]:
    """All questions of a split, in the data set's order."""
    path = store.verify(prepared) / "questions" / f"{split}.jsonl.gz"
    with gzip.open(path, "rb") as lines:
        return tuple(Question.model_validate_json(line) for line in lines)
