"""The check of a run's data: everything wrong is listed by file and line, and doubles are counted and left out."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from coordinator_bench import SMALL
from mstar.data_check import DataCheck, Drop, check_lines
from mstar.errors import InvalidDataset
from mstar.recipes import DataRecipe
from mstar_coordinator.dataset_check import DatasetCheck, Sound, open_looks
from mstar_coordinator.image_takers import takers_of
from mstar_data.looks import Fingerprint, Subject
from small_png import small_png
from trusting_looks import TrustingLooks

SPLITS = {"test_id": 2, "train": 3}


def write(folder: Path, split: str, *rows: tuple[int, dict[str, Any] | str]) -> None:
    """Rows with the number of the picture that each shows."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    lines = []
    for picture, row in rows:
        (folder / split / f"{picture}.png").write_bytes(small_png(picture))
        base = {"file_name": f"{picture}.png", "question": f"How many in {picture}?", "answer": 1}
        lines.append(row if isinstance(row, str) else json.dumps(base | row))
    (folder / split / "metadata.jsonl").write_text("\n".join(lines))


def checked(folder: Path, wanted: dict[str, int] | None = None, **rule: Any) -> tuple[list[Sound], DataCheck]:
    wanted = wanted or SPLITS
    check = DatasetCheck(folder, wanted, frozenset(["test_id"]), DataRecipe(**rule), TrustingLooks())
    return list(check.rows()), check.result()


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two tests, and five records to train on, of which the second and third are bad."""
    write(tmp_path, "test_id", (1, {}), (2, {}))
    write(tmp_path, "train", (11, {}), (12, "{"), (13, {"answer_type": "integer", "answer": "x"}), (14, {}), (15, {}))
    return tmp_path


def test_all_problems_are_listed_at_once(mixed: Path) -> None:
    (mixed / "test_id" / "2.png").write_bytes(b"GIF89a" + bytes(50))
    with pytest.raises(InvalidDataset) as refused:
        checked(mixed)
    detail = refused.value.detail
    assert detail.startswith("3 records cannot be used:") and "--skip-bad" in detail
    for where in (
        "test_id/metadata.jsonl line 2: image 2.png",
        "train/metadata.jsonl line 2",
        "train/metadata.jsonl line 3",
    ):
        assert where in detail


def test_a_long_list_is_cut_and_counted(tmp_path: Path) -> None:
    write(tmp_path, "test_id", (1, {}), (2, {}))
    write(tmp_path, "train", *[(number, "{") for number in range(100, 150)])
    with pytest.raises(InvalidDataset, match="and 47 more like that") as refused:
        checked(tmp_path, {"test_id": 2, "train": 50})
    assert len(refused.value.detail) < 2000


def test_bad_records_are_skipped_and_kept_in_mind(mixed: Path) -> None:
    sound, found = checked(mixed, skip_bad=True)
    assert [one.row.where for one in sound if one.row.question.split == "train"] == [
        f"train/metadata.jsonl line {line}" for line in (1, 4, 5)
    ]
    assert found.records == {"test_id": 2, "train": 3} and found.skipped == 2
    assert "train/metadata.jsonl line 3: answer" in found.problems[1]
    assert "2 records were left out" in check_lines(found)[0]


def test_what_is_left_must_be_enough(mixed: Path) -> None:
    with pytest.raises(InvalidDataset, match="has 3 questions but the recipe wants 4") as refused:
        checked(mixed, {"test_id": 2, "train": 4}, skip_bad=True)
    assert refused.value.field == "data.train"


def test_a_record_keeps_its_id_whatever_is_skipped_before_it(mixed: Path) -> None:
    sound, _ = checked(mixed, skip_bad=True)
    assert [one.row.question.id for one in sound][2:] == ["train/000000", "train/000003", "train/000004"]


@pytest.mark.parametrize(
    ("rows", "drop", "count"),
    [
        (((11, {}), (11, {}), (12, {}), (13, {})), Drop.REPEATED, "repeated"),
        (((11, {}), (1, {"question": "How many in 1?"}), (12, {}), (13, {})), Drop.SHARED, "shared"),
        (((11, {}), (1, {"question": "What else?"}), (12, {}), (13, {})), Drop.OVERLAP, "overlap"),
        (((11, {}), (1, {"answer": 7}), (12, {}), (13, {})), Drop.OVERLAP_QUESTION, "overlap_questions"),
    ],
)
def test_doubles_are_counted_and_left_out_where_the_recipe_says_so(
    tmp_path: Path, rows: tuple[tuple[int, dict[str, Any]], ...], drop: Drop, count: str
) -> None:
    write(tmp_path, "test_id", (1, {}), (2, {}))
    write(tmp_path, "train", *rows)
    sound, found = checked(tmp_path)
    assert getattr(found, count) in (1, {"test_id": 1}) and found.dropped == 0 and len(sound) == 5
    sound, found = checked(tmp_path, drop=(drop,))
    assert found.dropped == 1 and [one.row.question.text for one in sound][3:] == ["How many in 12?", "How many in 13?"]


def test_a_test_is_never_left_out_for_what_trains(tmp_path: Path) -> None:
    write(tmp_path, "test_id", (1, {}), (2, {}))
    write(tmp_path, "train", (1, {}), (2, {}), (11, {}), (12, {}), (13, {}))
    sound, found = checked(tmp_path, drop=tuple(Drop))
    assert [one.row.question.text for one in sound][:2] == ["How many in 1?", "How many in 2?"]
    assert found.overlap == {"test_id": 2} and found.dropped == 2


def test_pictures_are_decoded_in_a_child_once(tmp_path: Path) -> None:
    write(tmp_path, "test_id", (1, {}), (2, {}))
    write(tmp_path, "train", (11, {}), (12, {}), (13, {}))
    whole = small_png(12)
    # The header is sound, so only decoding finds out.
    (tmp_path / "train" / "12.png").write_bytes(whole[:-40] + bytes(40))
    for _ in range(2):
        with open_looks(tmp_path / "home") as looks, pytest.raises(InvalidDataset, match=r"line 2: image 12\.png: the"):
            list(DatasetCheck(tmp_path, SPLITS, frozenset(["test_id"]), DataRecipe(), looks).rows())
    (tmp_path / "train" / "12.png").write_bytes(whole)
    with open_looks(tmp_path / "home") as looks:
        looks._children[0].ask = looks._children[-1].ask = None  # type: ignore[assignment]
        known = [looks.of(small_png(number)) for number in (1, 2, 11, 13)]
        assert len({one.outline for one in known}) == 4


def test_a_stopped_check_says_what_it_has_seen(tmp_path: Path) -> None:
    write(tmp_path, "test_id", (1, {}), (2, {}))
    write(tmp_path, "train", (11, {}), (12, {}), (13, {}))
    left = iter([False, False, False, True, True])
    check = DatasetCheck(tmp_path, SPLITS, frozenset(), DataRecipe(), TrustingLooks(), enough=lambda: next(left))
    assert len(list(check.rows())) == 3 and not check.whole and check.looked == 3


class Endless(TrustingLooks):
    """Counts what it is asked to look at."""

    def __init__(self) -> None:
        self.asked = 0

    def each(self, pairs: Iterable[tuple[Subject, bytes | None]]) -> Iterator[tuple[Subject, Future[Fingerprint]]]:
        for pair in super().each(pairs):
            self.asked += 1
            yield pair


def test_no_more_is_read_than_is_used(tmp_path: Path) -> None:
    write(tmp_path, "train", *[(number, {}) for number in range(20)])
    looks = Endless()
    assert len(list(DatasetCheck(tmp_path, {"train": 5}, frozenset(), DataRecipe(), looks).rows())) == 5
    assert looks.asked == 5


def test_a_row_has_one_picture_several_or_none(tmp_path: Path) -> None:
    several = {"file_name": None, "file_names": ["3.png", "1.png", "3.png"]}
    write(tmp_path, "test_id", (1, {}))
    write(tmp_path, "train", (1, {}), (3, several), (1, {"file_name": None, "question": "In words?"}))
    sound, found = checked(tmp_path, {"test_id": 1, "train": 3})
    assert [one.images for one in sound[1:]] == [
        (small_png(1),), (small_png(3), small_png(1), small_png(3)), ()
    ]  # fmt: skip
    # A picture of several counts as one that a test has; a question in words shows none.
    assert found.overlap == {"test_id": 2}


def test_a_question_in_words_doubles_only_its_like(tmp_path: Path) -> None:
    words: dict[str, Any] = {"file_name": None}
    write(tmp_path, "test_id", (1, words | {"question": "One?"}))
    write(tmp_path, "train", *((1, words | {"question": question}) for question in ("Two?", "two", "One?")))
    _, found = checked(tmp_path, {"test_id": 1, "train": 3})
    assert (found.overlap, found.near, found.shared) == ({"test_id": 1}, 1, 1)


def test_the_second_picture_is_named_where_it_cannot_be_used(tmp_path: Path) -> None:
    write(tmp_path, "test_id", (1, {}), (2, {"file_name": None, "file_names": ["1.png", "2.png"]}))
    (tmp_path / "test_id" / "2.png").write_bytes(b"GIF89a" + bytes(50))
    with pytest.raises(InvalidDataset, match=r"line 2: image 2\.png"):
        checked(tmp_path, {"test_id": 2})


def test_a_record_with_more_images_than_the_model_takes_is_refused_by_line(tmp_path: Path) -> None:
    write(tmp_path, "test_id", (1, {}), (2, {"file_name": None}))
    write(tmp_path, "train", (11, {}), (12, {"file_name": None, "file_names": ["11.png", "12.png"]}), (13, {}))
    for section, base in (("model", "model"), ("prm", "reward")):
        (tmp_path / base).mkdir()
        (tmp_path / base / "config.json").write_text('{"model_type": "paligemma"}')
        recipe = SMALL.model_copy(update={"data": SMALL.data.model_copy(update={"source": str(tmp_path)})})
        section_of = getattr(recipe, section).model_copy(update={"base": str(tmp_path / base)})
        takers = takers_of(recipe.model_copy(update={section: section_of}))
        check = DatasetCheck(
            tmp_path, {"test_id": 2, "train": 3}, frozenset(["test_id"]), DataRecipe(), TrustingLooks(), takers=takers
        )
        with pytest.raises(InvalidDataset) as refused:
            list(check.rows())
        takes = f"and {section}.base is a paligemma model, which takes exactly 1 a question: take another model, or"
        for line in (
            f"test_id/metadata.jsonl line 2: shows no image, {takes}",
            f"train/metadata.jsonl line 2: shows 2 images, {takes}",
        ):
            assert line in refused.value.detail
    assert DatasetCheck.of(recipe, TrustingLooks()).takers == ()
