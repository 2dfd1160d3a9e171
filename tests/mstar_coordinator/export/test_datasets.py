"""The two data sets: the columns of their formats, each image once and byte for byte."""

import json
from pathlib import Path
from typing import Any

import pytest

from example_rows import question
from mstar.errors import NotFound
from mstar.prompts import PRESETS, PromptPreset
from mstar.types import Answer, AnswerType, SelectedRow, StepLabelRow
from mstar_artefacts.images import ImageStore
from mstar_coordinator.export.datasets import image_ending, write_cot, write_step_labels
from publish_bench import png

FORM = PRESETS[PromptPreset.MSTAR]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def selected(image: str, response: str) -> SelectedRow:
    return SelectedRow(
        question=question().model_copy(update={"images": (image,)}),
        response=response,
        iteration=2,
        index=5,
        temperature=0.9,
        weight_version="v1",
        prm_version="p1",
        step_scores=(0.9, 0.8),
        reward=0.8,
        reason="top-2 of 5 correct",
    )


def labelled(image: str) -> StepLabelRow:
    return StepLabelRow(
        id="q1/0",
        prompt="How many?",
        completions=("A is 12", "## Answer\n\n42"),
        labels=(0.5, 1.0),
        images=(image,),
        answer=Answer(type=AnswerType.INTEGER, value="42"),
        mc_successes=(4, 8),
        mc_rollouts=(8, 8),
        weight_version="v1",
    )


def test_cot_rows_stand_beside_their_images(tmp_path: Path) -> None:
    images = ImageStore(tmp_path / "store")
    digest = images.put(png())
    assert write_cot(tmp_path / "cot", [selected(digest, "a\u2028b"), selected(digest, "c")], images, FORM) == 2
    first, second = lines(tmp_path / "cot" / "metadata.jsonl")
    assert first["file_name"] == second["file_name"] == f"images/{digest[:16]}.png"
    assert (tmp_path / "cot" / first["file_name"]).read_bytes() == png()
    assert (first["response"], first["answer"], first["reason"]) == ("a\u2028b", "42", "top-2 of 5 correct")
    assert (first["weight_version"], first["temperature"], first["step_scores"]) == ("v1", 0.9, [0.9, 0.8])


def test_step_labels_have_the_columns_of_stepwise_supervision(tmp_path: Path) -> None:
    images = ImageStore(tmp_path / "store")
    digest = images.put(png())
    assert write_step_labels(tmp_path / "prm", [labelled(digest)], images) == 1
    (row,) = lines(tmp_path / "prm" / "metadata.jsonl")
    assert (row["prompt"], row["completions"]) == ("How many?", ["A is 12", "## Answer\n\n42"])
    assert (row["labels"], row["soft_labels"]) == ([True, True], [0.5, 1.0])
    assert (row["file_name"], row["id"], row["answer"]) == (f"images/{digest[:16]}.png", "q1/0", "42")
    assert (row["mc_successes"], row["mc_rollouts"]) == ([4, 8], [8, 8])


def test_a_missing_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="not in the image store"):
        write_cot(tmp_path / "cot", [selected("a" * 64, "c")], ImageStore(tmp_path / "store"), FORM)


@pytest.mark.parametrize(
    ("head", "ending"),
    [(b"\x89PNG\r\n", "png"), (b"\xff\xd8\xff\xe0", "jpg"), (b"RIFF....WEBP", "webp"), (b"BM", "img")],
)
def test_image_endings(head: bytes, ending: str) -> None:
    assert image_ending(head) == ending
