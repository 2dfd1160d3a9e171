"""A run's data in somebody else's shape: imported once, shared by runs, continued after a stop."""

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mstar.errors import InvalidDataset, InvalidInput
from mstar.recipes import Recipe, parse_recipe
from mstar_coordinator.dataset_check import DatasetCheck, own_splits
from mstar_coordinator.dataset_source import IMPORTS, Opened, collect_imports, is_prepared, open_source
from mstar_data.importing import Unfinished
from small_png import small_png
from trusting_looks import TrustingLooks

SIZES = {"train": 4, "validation": 2, "test_id": 2, "test_ood": 0}
SHARES = {"train": 0.4, "validation": 0.3, "test_id": 0.3}


def recipe_of(source: Path, **data: Any) -> Recipe:
    return parse_recipe(
        {
            "name": "a",
            "data": {"source": str(source)} | SIZES | data,
            "warmup": None,
            "prm": None,
            "evolution": {"questions": 4, "selection": {"mode": "all"}},
            "exploration": {"mode": "fixed"},
        }
    )


def llava(folder: Path, count: int = 40, gold: str = "{n}") -> Path:
    """A set in MathV360K's shape, with an image for every two questions, and ids that repeat with it."""
    folder.mkdir(exist_ok=True)
    rows = []
    for n in range(count):
        (folder / f"{n // 2}.png").write_bytes(small_png(n // 2))
        turns = [
            {"from": "human", "value": f"<image>\nQuestion: How many is {n}?"},
            {"from": "gpt", "value": f"The answer is {gold.format(n=n)}"},
        ]
        rows.append({"id": f"identity_{n // 2}", "image": f"{n // 2}.png", "conversations": turns})
    (folder / "train.json").write_text(json.dumps(rows))
    return folder


def opened(recipe: Recipe, home: Path, **more: Any) -> Opened:
    return open_source(recipe, own_splits(recipe), home, TrustingLooks(), **more)


def test_a_llava_set_is_imported_and_passes_the_check_of_a_run(tmp_path: Path) -> None:
    recipe = recipe_of(llava(tmp_path / "set"), split=SHARES)
    found = opened(recipe, tmp_path / "home")
    rows = list(DatasetCheck.of(recipe, TrustingLooks(), opened=found).rows())
    assert len(rows) == 8 and rows[0].row.question.text.startswith("How many is")
    assert found.folder.is_relative_to(tmp_path / "home" / IMPORTS)


def test_it_is_imported_once_and_again_after_a_change(tmp_path: Path) -> None:
    recipe = recipe_of(llava(tmp_path / "set"), split=SHARES)
    first = opened(recipe, tmp_path / "home")
    assert opened(recipe, tmp_path / "home") == first
    other = recipe_of(tmp_path / "set", split={**SHARES, "train": 0.3, "charts": 0.1})
    assert opened(other, tmp_path / "home").folder != first.folder
    (tmp_path / "set" / "0.png").write_bytes(small_png(77) + b"\n")
    assert opened(recipe, tmp_path / "home").folder != first.folder


def age(home: Path, days: float) -> list[Path]:
    """Have the imports of a home been opened so long ago."""
    locks = sorted((home / IMPORTS).glob("*.lock"))
    for path in locks:
        then = path.stat().st_mtime - 86_400 * days
        os.utime(path, (then, then))
    return locks


def test_an_import_goes_once_nobody_has_opened_it_for_long(tmp_path: Path) -> None:
    home, recipe = tmp_path / "home", recipe_of(llava(tmp_path / "set"), split=SHARES)
    old = opened(recipe, home)
    (tmp_path / "set" / "0.png").write_bytes(small_png(77) + b"\n")
    age(home, 31)
    new = opened(recipe, home)
    assert collect_imports(home, 30 * 86_400) == [old.folder.name]
    assert not old.folder.exists() and new.folder.is_dir()
    assert sorted(path.name for path in (home / IMPORTS).iterdir()) == [new.folder.name, f"{new.folder.name}.lock"]
    # To open it is to use it.
    age(home, 31)
    assert opened(recipe, home) == new and collect_imports(home, 30 * 86_400) == []
    # What is gone is imported again by whoever needs it.
    age(home, 31)
    collect_imports(home, 30 * 86_400)
    assert not new.folder.exists() and opened(recipe, home) == new


def test_an_import_that_was_begun_goes_as_well_unless_somebody_is_at_it(tmp_path: Path) -> None:
    home, recipe = tmp_path / "home", recipe_of(llava(tmp_path / "set"), split=SHARES)

    def stop() -> None:
        raise Unfinished

    with pytest.raises(Unfinished):
        opened(recipe, home, turn=stop)
    (lock,) = age(home, 31)
    assert (lock.with_name(f".{lock.stem}.importing")).is_dir()
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert collect_imports(home, 30 * 86_400) == []
    assert len(collect_imports(home, 30 * 86_400)) == 1 and not list((home / IMPORTS).iterdir())


def test_one_that_is_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    recipe = recipe_of(llava(tmp_path / "set", 5000), split=SHARES)
    seen: list[int] = []

    def stopping(records: int) -> None:
        seen.append(records)
        if records == 2500:
            raise Unfinished

    with pytest.raises(Unfinished):
        opened(recipe, tmp_path / "home", tick=stopping)
    folders = [path.name for path in (tmp_path / "home" / IMPORTS).iterdir() if path.is_dir()]
    assert [name.rpartition(".")[2] for name in folders] == ["importing"]
    found = opened(recipe, tmp_path / "home", tick=seen.append)
    assert found.summary is not None and found.summary.records.total() == 5000
    assert seen[2500] == 2001


@pytest.mark.parametrize("skip_bad", [False, True])
def test_bad_records_refuse_the_run_or_are_counted_in_its_record(tmp_path: Path, skip_bad: bool) -> None:
    source = llava(tmp_path / "set")
    (source / "3.png").write_bytes(b"bad")
    recipe = recipe_of(source, split=SHARES, skip_bad=skip_bad)
    if not skip_bad:
        with pytest.raises(InvalidDataset, match=r"train\.json record 7") as refused:
            opened(recipe, tmp_path / "home")
        assert refused.value.field == "data.source"
        assert not [path for path in (tmp_path / "home" / IMPORTS).iterdir() if path.is_dir()]
        return
    check = DatasetCheck.of(recipe, TrustingLooks(), opened=opened(recipe, tmp_path / "home"))
    list(check.rows())
    result = check.result()
    assert result.skipped == 2 and "train.json record 7" in result.problems[0]


def test_mended_data_is_imported_on_the_next_try(tmp_path: Path) -> None:
    source = llava(tmp_path / "set")
    (source / "3.png").write_bytes(b"bad")
    recipe = recipe_of(source, split=SHARES)
    with pytest.raises(InvalidDataset):
        opened(recipe, tmp_path / "home")
    (source / "3.png").write_bytes(small_png(3))
    assert opened(recipe, tmp_path / "home").summary is not None


def test_a_split_that_the_source_lacks_is_named_with_a_way_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match=r"no records of validation \(it has train 40\).*data.split=") as refused:
        opened(recipe_of(llava(tmp_path / "set")), tmp_path / "home")
    assert refused.value.field == "data.source"


def test_a_mapping_file_reads_columns_that_no_reader_knows(tmp_path: Path) -> None:
    rows = [{"ask": f"How many is {n}?", "gold": n, "fold": ("a", "b", "c")[n % 3]} for n in range(30)]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))
    mapping = tmp_path / "map.yaml"
    values = "{a: train, b: validation, c: test_id}"
    mapping.write_text(f"columns: {{question: ask, answer: gold}}\nsplits: {{column: fold, values: {values}}}\n")
    found = opened(recipe_of(tmp_path / "set.jsonl", mapping=str(mapping)), tmp_path / "home")
    assert found.summary is not None and found.summary.records == {"train": 10, "validation": 10, "test_id": 10}
    mapping.write_text("colums: {}\n")
    with pytest.raises(InvalidInput, match="colums") as refused:
        opened(recipe_of(tmp_path / "set.jsonl", mapping=str(mapping)), tmp_path / "home")
    assert refused.value.field == "data.mapping"


def test_the_hubs_image_folder_is_imported_and_our_own_is_read_in_place(tmp_path: Path) -> None:
    names = {"train": "train", "validation": "validation", "test_id": "test"}
    for ours, theirs in names.items():
        folder = tmp_path / "set" / theirs
        folder.mkdir(parents=True)
        rows = [{"file_name": f"{n}.png", "question": f"{ours} {n}?", "answer": n} for n in range(4)]
        (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
        for n in range(4):
            (folder / f"{n}.png").write_bytes(small_png(n))
    recipe = recipe_of(tmp_path / "set")
    found = opened(recipe, tmp_path / "home")
    assert found.summary is not None and found.summary.records["test_id"] == 4
    shutil.move(tmp_path / "set" / "test", tmp_path / "set" / "test_id")
    assert opened(recipe, tmp_path / "home") == Opened(tmp_path / "set")
    assert not is_prepared(tmp_path / "set" / "train" / "metadata.jsonl", recipe.splits)


@pytest.mark.parametrize(
    ("data", "field", "said"),
    [
        ({"split": {"train": 0.5}}, "data.split", "make 0.5, not 1"),
        ({"split": {"Train": 1.0}}, "data.split", "cannot name a split"),
        ({"split": {"train": 2.0, "test_id": -1.0}}, "data.split", r"must lie in \(0, 1\]"),
        ({"mapping": "m.yaml", "first_index": 1}, "data.first_index", "write it there"),
        ({"source": "builtin:minivista", "split": {"train": 1.0}}, "data.split", "needs none"),
    ],
)
def test_fields_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, data: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        parse_recipe({"name": "a", "data": {"source": str(tmp_path), **data}})
    assert refused.value.field == field
