"""A run that can't work is refused before anything is written."""

import json
import os
import shutil
from pathlib import Path

import pytest

from coordinator_bench import SMALL
from mstar.errors import Forbidden, InvalidDataset, InvalidInput, InvalidRecipe, MstarError, StorageFull
from mstar.recipes import Recipe
from mstar_coordinator.scheduler.admission import admit, check_ranks, check_size

SPLITS = {"train": 8, "validation": 4, "test_id": 4, "test_ood": 4}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An allowed folder with a sound data set `set` and a sound model `model`."""
    for split, count in SPLITS.items():
        folder = tmp_path / "root" / "set" / split
        folder.mkdir(parents=True)
        rows = [{"file_name": f"{i}.png", "question": "How many?", "answer": "3"} for i in range(count)]
        (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
        for row in rows:
            (folder / row["file_name"]).write_bytes(b"png")
    model = tmp_path / "root" / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"0" * 100)
    return tmp_path / "root"


def with_sources(data: str = "set", base: str = "model") -> Recipe:
    return SMALL.model_copy(
        update={
            "data": SMALL.data.model_copy(update={"source": data}),
            "model": SMALL.model.model_copy(update={"base": base}),
        }
    )


def admitted(recipe: Recipe, root: Path, reserve: int = 0) -> Recipe:
    return admit(recipe, root, root / "home" / "not" / "yet", reserve)


def test_folders_below_the_root_become_absolute(root: Path) -> None:
    recipe = admitted(with_sources(), root)
    assert recipe.data.source == str(root / "set") and recipe.model.base == str(root / "model")
    assert admitted(with_sources(str(root / "set")), root) == recipe
    assert admitted(SMALL, root) == SMALL


@pytest.mark.parametrize(
    ("data", "base", "error", "field"),
    [
        ("..", "model", Forbidden, "data.source"),
        ("/etc", "model", Forbidden, "data.source"),
        ("set", "../..", Forbidden, "model.base"),
        ("nowhere", "model", InvalidInput, "data.source"),
        ("set", "nowhere", InvalidInput, "model.base"),
        ("set", "set", InvalidInput, "model.base"),
        ("builtin:mnist", "model", InvalidInput, "data.source"),
        ("set\x00", "model", InvalidInput, "data.source"),
    ],
)
def test_other_places_are_refused(root: Path, data: str, base: str, error: type[MstarError], field: str) -> None:
    with pytest.raises(error) as caught:
        admitted(with_sources(data, base), root)
    assert caught.value.field == field


def test_a_link_does_not_lead_out_of_the_root(root: Path) -> None:
    (root / "link").symlink_to("/etc")
    with pytest.raises(Forbidden):
        admitted(with_sources("link"), root)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "train/metadata.jsonl line 2: not valid JSON"),
        ("[1]", "train/metadata.jsonl line 2: not a JSON object"),
        ('{"file_name": "1.png", "question": "?"}', "train/metadata.jsonl line 2: answer is missing"),
        ('{"file_name": "no.png", "question": "?", "answer": "1"}', "line 2: image no.png"),
        ('{"file_name": "../validation/1.png", "question": "?", "answer": "1"}', "line 2: image"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(root: Path, line: str, message: str) -> None:
    metadata = root / "set" / "train" / "metadata.jsonl"
    lines = metadata.read_text().splitlines()
    metadata.write_text("\n".join([lines[0], line, *lines[2:]]))
    with pytest.raises(InvalidDataset, match=message):
        admitted(with_sources(), root)


def test_too_few_questions_are_told_with_the_field_to_change(root: Path) -> None:
    recipe = with_sources().model_copy(update={"data": with_sources().data.model_copy(update={"train": 9})})
    with pytest.raises(InvalidDataset, match="8 questions but the recipe wants 9") as caught:
        admitted(recipe, root)
    assert caught.value.field == "data.train"


def test_a_missing_split_is_named(root: Path) -> None:
    (root / "set" / "test_id" / "metadata.jsonl").unlink()
    with pytest.raises(InvalidDataset, match=r"test_id/metadata\.jsonl is missing"):
        admitted(with_sources(), root)


def test_a_model_without_safetensors_is_refused(root: Path) -> None:
    (root / "model" / "model.safetensors").rename(root / "model" / "pytorch_model.bin")
    with pytest.raises(InvalidInput, match="safetensors"):
        admitted(with_sources(), root)


def test_checkpoints_that_lie_elsewhere_need_no_room_at_home(root: Path) -> None:
    os.truncate(root / "model" / "model.safetensors", shutil.disk_usage(root).free // 8)
    with pytest.raises(StorageFull):
        admitted(with_sources(), root)
    assert admit(with_sources(), root, root / "home", 0, remote=True)


def test_a_full_disk_is_told_before_the_run(root: Path) -> None:
    with pytest.raises(StorageFull, match="free some disk"):
        admitted(SMALL, root, reserve=10**18)


def test_a_graph_that_nobody_could_hold_is_refused_at_once() -> None:
    with pytest.raises(InvalidRecipe) as caught:
        check_size(SMALL, 100_000)
    assert caught.value.field == "generation.shard_questions"
    check_size(SMALL, 100)


def test_ranks_that_the_nodes_cannot_share_are_refused_by_field() -> None:
    shared = SMALL.model_copy(
        update={
            name: part.model_copy(update={"train": part.train.model_copy(update={"ranks": 8})})
            for name in ("warmup", "prm", "evolution")
            if (part := getattr(SMALL, name)) is not None
        }
    )
    for nodes in (1, 2, 4, 8):
        check_ranks(shared, nodes)
    check_ranks(SMALL, 1)
    for name in ("warmup", "prm", "evolution"):
        with pytest.raises(InvalidRecipe, match=f"{name}.train.ranks is 1, which the 4 nodes") as caught:
            check_ranks(shared.model_copy(update={name: getattr(SMALL, name)}), 4)
        assert caught.value.field == f"{name}.train.ranks" and "a multiple of 4" in caught.value.detail
    with pytest.raises(InvalidRecipe, match="ranks is 8, which the 3 nodes"):
        check_ranks(shared, 3)
