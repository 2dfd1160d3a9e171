"""Published benchmarks among a run's tests: their items lie in the prepared artefact, where judging finds them."""

import gzip
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel

from mstar.errors import InvalidDataset
from mstar.judges import BENCHMARKS, Benchmark, Item
from mstar.judges.in_runs import asking_of, official_sets, question_id, question_of
from mstar.reach import Reach
from mstar.recipes import Recipe, split_field
from mstar.stages.prepare import PrepareParams
from mstar.steps import ArtefactRef
from mstar_artefacts.store import COMPRESSION, ArtefactStore
from mstar_coordinator.worker.context import ClaimedStep
from mstar_data.benchmarks import Shown, items_of
from mstar_data.looks import Fingerprint, Looks

Tested: TypeAlias = tuple[str, str, Fingerprint]
"""Name of a test, a question of it, and what its picture looks like."""


def fill_benchmarks(folder: Path, step: ClaimedStep[PrepareParams], looks: Looks) -> list[Tested]:
    """Write `questions/<name>.jsonl.gz` and `items/<name>.jsonl.gz`; the tests, to look for overlap with them.

    Raises InvalidDataset for files that cannot be used, and for more items than there are.
    """
    found: list[Tested] = []
    asking = asking_of(step.recipe)
    for name, benchmark in official_sets(step.recipe).items():
        shown = _shown(step.recipe, benchmark, step.claim.reach)
        for one, look in looks.each((one, one.image) for one in shown):
            try:
                found.append((name, one.item.question, look.result()))
            except ValueError as error:
                raise InvalidDataset(f"{name}: image of item {one.item.id}: {error}", field="evaluation") from None
        digests = [step.use.images.put(one.image) for one in shown]
        asked = [question_of(benchmark, one.item, digest, asking) for one, digest in zip(shown, digests, strict=True)]
        _write(folder / "questions" / f"{name}.jsonl.gz", asked)
        (folder / "items").mkdir(exist_ok=True)
        _write(folder / "items" / f"{name}.jsonl.gz", [one.item for one in shown])
    return found


@lru_cache(maxsize=8)
def items_by_question(store: ArtefactStore, prepared: ArtefactRef, name: str) -> dict[str, Item]:
    """Items of a benchmark by the ids that their questions have in the run."""
    with gzip.open(store.verify(prepared) / "items" / f"{name}.jsonl.gz", "rb") as lines:
        items = [Item.model_validate_json(line) for line in lines]
    return {question_id(BENCHMARKS[name], item): item for item in items}


def _shown(recipe: Recipe, benchmark: Benchmark, reach: Reach | None) -> list[Shown]:
    if recipe.measure is None:
        assert recipe.evaluation.benchmarks is not None, "official sets have their files there"
        return _taken(benchmark, Path(recipe.evaluation.benchmarks), recipe.evaluation.sets[benchmark.name], reach)
    measured = recipe.measure.sets[benchmark.name]
    shown = list(items_of(benchmark, Path(measured.path), recipe.measure.limit, reach))
    if len(shown) != measured.items:
        raise InvalidDataset(
            f"{measured.path} has {len(shown)} items of {benchmark.title} now and had {measured.items} when the "
            "evaluation was asked for: start another",
            field="data",
        )
    return shown


def _taken(benchmark: Benchmark, data: Path, wanted: int, reach: Reach | None) -> list[Shown]:
    """The first items. Rotations of a question are items of their own, and come all or not at all."""
    field = split_field(benchmark.name)
    taken: list[Shown] = []
    for one in items_of(benchmark, data, reach=reach):
        if len(taken) == wanted:
            # CircularEval counts a question as right only if all rotations of its choices are.
            if one.item.circle and one.item.circle == taken[-1].item.circle:
                raise InvalidDataset(
                    f"{field}: {wanted} items end between the rotations of question {one.item.circle[:40]}: "
                    "set it to a few more or less",
                    field=field,
                )
            return taken
        taken.append(one)
    if len(taken) < wanted:
        raise InvalidDataset(f"{field}: {benchmark.title} has {len(taken)} items, not {wanted}: lower it", field=field)
    return taken


def _write(path: Path, rows: Iterable[BaseModel]) -> None:
    # Without a time in its head, equal rows give equal bytes.
    with gzip.GzipFile(path, "wb", COMPRESSION, mtime=0) as out:
        for row in rows:
            out.write(row.model_dump_json().encode() + b"\n")
