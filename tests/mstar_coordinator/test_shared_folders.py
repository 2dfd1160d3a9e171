"""Data sets that share folders behind links and `..`: read within the data root, refused beyond it, at every door."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mstar.errors import InvalidDataset
from mstar.reach import Reach
from mstar.recipes import Recipe, parse_recipe
from mstar.stages.prepare import PrepareParams, PrepareResult
from mstar_coordinator.dataset_check import DatasetCheck, own_splits
from mstar_coordinator.dataset_source import IMPORTS, Opened, collect_imports, open_source
from mstar_coordinator.scheduler.data_admission import DataAdmission
from mstar_coordinator.scheduler.data_places import reach_of
from mstar_coordinator.worker.context import ClaimedStep
from mstar_coordinator.worker.steps import prepare
from small_png import small_png
from trusting_looks import TrustingLooks
from work_bench import Bench

SIZES = {"train": 4, "validation": 2, "test_id": 2, "test_ood": 0}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with a folder of images that no data set has in itself, and a secret beside it."""
    for name in ("root/shared/images", "root/projects/blue", "secret", "root/runs"):
        (tmp_path / name).mkdir(parents=True)
    for number in range(8):
        (tmp_path / "root" / "shared" / "images" / f"{number}.png").write_bytes(small_png(number))
    for place in ("secret", "root/projects/blue"):
        (tmp_path / place / "0.png").write_bytes(small_png(99))
    return tmp_path / "root"


def own_set(folder: Path, image: str = "images/{n}.png") -> Path:
    """In the project's own layout."""
    number = 0
    for split, size in SIZES.items():
        (folder / split).mkdir(parents=True)
        rows = []
        for _ in range(size):
            rows.append({"file_name": image.format(n=number), "question": f"What is {number}?", "answer": number})
            number += 1
        (folder / split / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def linked(folder: Path, to: str) -> Path:
    """Each split's `images` is a link."""
    for split in SIZES:
        (folder / split / "images").symlink_to(to)
    return folder


DRAWN = {"split": {"train": 0.4, "validation": 0.3, "test_id": 0.3}}
"""Shares: the set is then imported, and a record or more fall into each split."""


def recipe_of(source: Path, **data: Any) -> Recipe:
    sizes = dict.fromkeys(("train", "validation", "test_id"), 1) | {"test_ood": 0} if data else SIZES
    return parse_recipe(
        {
            "name": "a",
            "data": {"source": str(source)} | sizes | data,
            "warmup": None,
            "prm": None,
            "evolution": {"questions": sizes["train"], "selection": {"mode": "all"}},
            "exploration": {"mode": "fixed", "questions": 1},
        }
    )


def admitted(recipe: Recipe, root: Path) -> str:
    """As a request looks at it."""
    admission = DataAdmission(lambda: nullcontext(TrustingLooks()), lambda: 0.0, seconds=20, home=root / "runs")
    return admission.check(recipe, reach=reach_of("default", root, root / "runs"))


def prepared(recipe: Recipe, root: Path, bench: Path) -> PrepareResult:
    """As the worker prepares it, with what its claim says."""
    made = Bench(bench)
    made.context = replace(made.context, home=root / "runs")
    made.recipe = recipe.model_copy(update={"model": made.recipe.model})
    claim = made.claim("prepare", PrepareParams()).model_copy(
        update={"reach": reach_of("default", root, root / "runs")}
    )
    artefact, result = prepare.run(ClaimedStep(claim, PrepareParams(), made.report, made.context))
    assert artefact is not None
    for split, size in own_splits(recipe).items():
        questions = prepare.questions(made.store, artefact, split)
        assert len(questions) == size and all(made.images.get(one.images[0]) for one in questions)
    return result


SHARED = {
    "a link to a folder": lambda folder: linked(own_set(folder), "../../shared/images"),
    "an absolute link": lambda folder: linked(own_set(folder), str(folder.parent / "shared" / "images")),
    "a path": lambda folder: own_set(folder, "../../shared/images/{n}.png"),
    "an absolute path": lambda folder: own_set(folder, f"{folder.parent}/shared/images/{{n}}.png"),
}


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize("more", [{}, DRAWN])
def test_folders_shared_in_the_root_are_read_at_admission_and_by_the_worker(
    root: Path, tmp_path: Path, kind: str, more: dict[str, Any]
) -> None:
    recipe = recipe_of(SHARED[kind](root / "set"), **more)
    assert "records were checked" in admitted(recipe, root)
    assert prepared(recipe, root, tmp_path / "bench").data.skipped == 0


@pytest.mark.parametrize("split", ["folder", "metadata"])
def test_a_split_behind_a_link_is_read(root: Path, tmp_path: Path, split: str) -> None:
    own_set(root / "set", "../../shared/images/{n}.png")
    other = root / "other"
    other.mkdir()
    (root / "set" / "train").rename(other / "train")
    if split == "folder":
        (root / "set" / "train").symlink_to("../other/train")
    else:
        (root / "set" / "train").mkdir()
        (root / "set" / "train" / "metadata.jsonl").symlink_to("../../other/train/metadata.jsonl")
    recipe = recipe_of(root / "set")
    assert admitted(recipe, root) == "all 8 records were checked"
    assert prepared(recipe, root, tmp_path / "bench").data.records == {"train": 4, "validation": 2, "test_id": 2}


BEYOND = {
    "a link to a folder": lambda folder: linked(own_set(folder, "images/0.png"), "../../../secret"),
    "a path": lambda folder: own_set(folder, "../../../secret/0.png"),
    "an absolute path": lambda folder: own_set(folder, str(folder.parent.parent / "secret" / "0.png")),
    "a path by way of a link": lambda folder: linked(own_set(folder, "images/../../../secret/0.png"), "../../shared"),
    "another project": lambda folder: linked(own_set(folder, "images/0.png"), "../../projects/blue"),
    "another project's path": lambda folder: own_set(folder, "../../projects/blue/0.png"),
}


@pytest.mark.parametrize("kind", BEYOND)
@pytest.mark.parametrize("more", [{}, DRAWN])
def test_what_leads_out_of_the_root_is_refused_at_admission_and_by_the_worker(
    root: Path, tmp_path: Path, kind: str, more: dict[str, Any]
) -> None:
    recipe = recipe_of(BEYOND[kind](root / "set"), **more)
    for door in (lambda: admitted(recipe, root), lambda: prepared(recipe, root, tmp_path / "bench")):
        with pytest.raises(InvalidDataset, match=r"line 1: image \S+ lies outside of the data set's folder and of"):
            door()
    assert not [path for path in (root / "runs").rglob("*.png")], "nothing of it is copied"


def test_a_source_that_leads_elsewhere_since_it_was_admitted_is_refused_by_the_worker(
    root: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(linked(own_set(root / "set"), "../../shared/images"))
    assert admitted(recipe, root) == "all 8 records were checked"
    linked(own_set(tmp_path / "elsewhere"), str(tmp_path / "secret"))
    (root / "set").rename(root / "before")
    (root / "set").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidDataset, match="is a link out of the data set's folder and of the data root"):
        prepared(recipe, root, tmp_path / "bench")


def opened(recipe: Recipe, root: Path) -> Opened:
    reach = Reach(root=root, home=root / "runs")
    return open_source(recipe, own_splits(recipe), root / "runs", TrustingLooks(), reach=reach)


@pytest.mark.parametrize("kind", SHARED)
def test_a_change_of_a_shared_folder_imports_anew(root: Path, kind: str) -> None:
    recipe = recipe_of(SHARED[kind](root / "set"), **DRAWN)
    first = opened(recipe, root)
    assert opened(recipe, root) == first
    (root / "shared" / "images" / "3.png").write_bytes(small_png(77))
    second = opened(recipe, root)
    assert second.folder != first.folder and first.folder.is_dir(), "a run may still read the old one"
    assert opened(recipe, root) == second
    names = {path.name for path in second.folder.rglob("*.png")}
    assert len(names) == 8 and names != {path.name for path in first.folder.rglob("*.png")}


def test_all_imports_of_a_key_go_together(root: Path) -> None:
    recipe = recipe_of(SHARED["a path"](root / "set"), **DRAWN)
    opened(recipe, root)
    (root / "shared" / "images" / "3.png").write_bytes(small_png(77))
    opened(recipe, root)
    assert len(collect_imports(root / "runs", -1)) == 1
    assert not list((root / "runs" / IMPORTS).iterdir())


def test_the_records_of_everything_leave_out_what_is_closed(root: Path) -> None:
    own_set(root / "set", "../../shared/images/{n}.png")
    run = root / "runs" / "r-0123456789abcd" / "cot_dataset" / "train"
    run.mkdir(parents=True)
    for folder in (run, root / "projects" / "blue"):
        (folder / "metadata.jsonl").write_text('{"question": "Whose?", "answer": "theirs"}\n')
    recipe = recipe_of(root, **DRAWN)
    reach = reach_of("default", root, root / "runs")
    found = open_source(recipe, own_splits(recipe), root / "runs", TrustingLooks(), reach=reach)
    assert found.summary is not None and sum(found.summary.records.values()) == 8


def rows_of(check: DatasetCheck) -> Iterator[str]:
    return (sound.row.question.text for sound in check.rows())


def test_without_a_reach_only_the_sets_own_folder_is_read(root: Path) -> None:
    recipe = recipe_of(SHARED["a path"](root / "set"))
    with pytest.raises(InvalidDataset, match="lies outside of the data set's folder"):
        list(rows_of(DatasetCheck.of(recipe, TrustingLooks())))
