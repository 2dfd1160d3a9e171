"""The published files of the benchmarks, found and read as they are downloaded."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from mstar.errors import InvalidDataset
from mstar.judges import BENCHMARKS
from mstar_data.benchmarks import digest_of, items_of

PUBLISHED = Path(__file__).parents[1] / "cases" / "benchmarks" / "published"
COUNTS = {"mathvista": 20, "m3cot": 20, "mmstar": 20, "mmstar-r": 17, "mmbench": 20, "mmbench-r": 14, "ai2d": 20}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_each_benchmark_is_found_in_a_folder_of_all(name: str, count: int) -> None:
    shown = list(items_of(BENCHMARKS[name], PUBLISHED))
    assert len(shown) == count
    assert all(one.image.startswith(b"\x89PNG") for one in shown)


def test_a_file_or_the_benchmarks_own_folder_will_do() -> None:
    whole = [one.item for one in items_of(BENCHMARKS["ai2d"], PUBLISHED)]
    assert [one.item for one in items_of(BENCHMARKS["ai2d"], PUBLISHED / "AI2D")] == whole
    file = PUBLISHED / "AI2D/data/test-00000-of-00001.parquet"
    assert [one.item for one in items_of(BENCHMARKS["ai2d"], file)] == whole


def test_a_rotation_shows_the_image_of_its_question() -> None:
    shown = {one.item.id: one for one in items_of(BENCHMARKS["mmbench"], PUBLISHED)}
    assert shown["1"].image == shown["3000001"].image != shown["2"].image


def test_a_table_without_rotations_gets_them(tmp_path: Path) -> None:
    lines = (PUBLISHED / "MMBench/MMBench_DEV_EN_V11.tsv").read_text().split("\n")
    (tmp_path / "mmbench.tsv").write_text(
        "\n".join([lines[0], *(line for line in lines[1:] if "\t/9j" in line or "\tiVBOR" in line)])
    )
    shown = list(items_of(BENCHMARKS["mmbench"], tmp_path))
    assert len(shown) == 20 and {one.item.circle for one in shown} == {str(place) for place in range(1, 9)}


def test_mathvista_as_vlmevalkit_and_as_json_has_it(tmp_path: Path) -> None:
    record = {
        "pid": "1", "question": "Is it?", "choices": ["Yes", "No"], "answer": "No", "question_type": "multi_choice",
        "answer_type": "text", "image": "images/1.png", "metadata": {"task": "visual question answering"},
    }  # fmt: skip
    (tmp_path / "images").mkdir()
    shutil.copy(PUBLISHED / "M3CoT/data/images/algebra-16.png", tmp_path / "images/1.png")
    (tmp_path / "annot_testmini.json").write_text(json.dumps({"1": record}))
    (one,) = items_of(BENCHMARKS["mathvista"], tmp_path)
    assert (one.item.gold, one.item.group) == ("B", "VQA")


def test_a_limit_takes_so_many_questions_of_each_group_with_all_rotations() -> None:
    shown = list(items_of(BENCHMARKS["mmbench-r"], PUBLISHED, limit=1))
    assert [len([one for one in shown if one.item.group == group]) for group in ("LR", "AR", "RR")] == [4, 4, 2]


def test_what_is_missing_or_in_doubt_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset, match=r"no .*file"):
        list(items_of(BENCHMARKS["ai2d"], tmp_path))
    for edition in ("AI2D_TEST", "AI2D_TEST_NO_MASK"):
        (tmp_path / f"{edition}.tsv").write_text("index\tquestion\n")
    with pytest.raises(InvalidDataset, match="several editions of AI2D"):
        list(items_of(BENCHMARKS["ai2d"], tmp_path))
    with pytest.raises(InvalidDataset, match=r"no file of M3CoT.*--data m3cot=PATH"):
        list(items_of(BENCHMARKS["m3cot"], tmp_path))
    bad = tmp_path / "m3cot.jsonl"
    bad.write_text('{"id": "x", "question": "q", "choices": ["a", "b"], "answer": "C"}\n')
    with pytest.raises(InvalidDataset, match=r"m3cot\.jsonl line 1: answer 'C' is not the letter of one of 2 options"):
        list(items_of(BENCHMARKS["m3cot"], bad))
    bad.write_text('{"id": "x", "question": "q", "choices": ["a", "b"], "answer": "A", "image": "../x.png"}\n')
    with pytest.raises(InvalidDataset, match=r"line 1: image \.\./x\.png lies outside"):
        list(items_of(BENCHMARKS["m3cot"], bad))


def test_the_digest_follows_what_is_asked() -> None:
    shown = [(one.item, hashlib.sha256(one.image).digest()) for one in items_of(BENCHMARKS["ai2d"], PUBLISHED)]
    assert digest_of(shown) == digest_of(iter(shown)) != digest_of(shown[1:])
    assert digest_of(shown) != digest_of([(shown[0][0], bytes(32)), *shown[1:]])
