"""Images that do not decode, pictures that look the same, overlap with evaluation sets, imports that were killed."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from mstar.errors import InvalidDataset
from mstar_data.duplicates import ImageIndex, looks_like, question_key
from mstar_data.fingerprints import Fingerprints
from mstar_data.importing import import_source
from mstar_data.rows import ReadOptions, read_rows
from mstar_data.summary import Summary

PUBLISHED = Path(__file__).parents[1] / "cases" / "benchmarks" / "published"


def chart(number: int, size: int = 200, form: str = "PNG", **options: int) -> bytes:
    """A bar chart that differs with its number."""
    image = Image.new("RGB", (240, 200), "white")
    draw = ImageDraw.Draw(image)
    for place in range(6):
        height = 20 + (number * 37 + place * place * 53 + number * place * 29) % 150
        draw.rectangle((12 + 37 * place, 190 - height, 38 + 37 * place, 190), fill=("red", "blue", "teal")[place % 3])
    image = image.resize((size * 240 // 200, size), Image.Resampling.LANCZOS)
    sink = io.BytesIO()
    image.save(sink, form, **options)
    return sink.getvalue()


def test_a_picture_looks_like_itself_however_it_is_stored_and_not_like_another() -> None:
    with Fingerprints(1) as prints:
        first = [prints.of(chart(number)) for number in range(12)]
        for number, one in enumerate(first):
            for stored in (chart(number, 150, "JPEG", quality=70), chart(number, 320, "WEBP")):
                assert looks_like(one, prints.of(stored)), number
        close = [(a, b) for a in range(12) for b in range(a) if looks_like(first[a], first[b])]
        assert close == []
        flat = [prints.of(solid(colour)) for colour in ("red", "blue", "white")]
        assert not any(looks_like(one, other) for one in flat for other in flat if one is not other)


def solid(colour: str) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(sink, "PNG")
    return sink.getvalue()


def test_pictures_are_found_among_many() -> None:
    with Fingerprints(1) as prints:
        pictures = ImageIndex()
        numbers = [pictures.place(prints.of(chart(number))) for number in range(30)]
        assert len(set(numbers)) == 30
        assert [pictures.find(prints.of(chart(n, 160, "JPEG", quality=80))) for n in (3, 17, 29)] == [3, 17, 29]
        assert pictures.find(prints.of(solid("red"))) is None


def test_questions_are_the_same_but_for_case_space_and_punctuation() -> None:
    assert question_key("What is  x?") == question_key("what is x") != question_key("what is y")


def write(folder: Path, records: list[tuple[str, bytes, int]], name: str = "train.jsonl") -> Path:
    lines = []
    for place, (question, image, answer) in enumerate(records):
        (folder / f"{name}-{place}.png").write_bytes(image)
        lines.append(json.dumps({"image": f"{name}-{place}.png", "question": question, "answer": answer}))
    (folder / name).write_text("\n".join(lines))
    return folder / name


@pytest.mark.parametrize("cut", [80, 400])
def test_an_image_that_does_not_decode_is_named_by_line(tmp_path: Path, cut: int) -> None:
    source = write(tmp_path, [("q", chart(1), 1), ("r", chart(2)[:cut], 2)])
    with pytest.raises(InvalidDataset, match=r"train\.jsonl line 2: the image"):
        import_source(source, tmp_path / "set")
    assert import_source(source, tmp_path / "set", skip_bad=True).bad == 1


def test_an_animated_image_does_not_end_the_import(tmp_path: Path) -> None:
    sink = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(sink, "WEBP", save_all=True, append_images=frames[1:])
    source = write(tmp_path, [("q", sink.getvalue(), 1), ("r", chart(2), 2)])
    summary = import_source(source, tmp_path / "set", skip_bad=True)
    assert "line 1: the image is animated" in summary.problems[0] and summary.records["train"] == 1


def test_near_duplicates_and_overlap_are_counted_listed_and_dropped(tmp_path: Path) -> None:
    (tmp_path / "evaluation").mkdir()
    write(tmp_path / "evaluation", [("How high?", chart(7), 3)], "test.jsonl")
    source = tmp_path / "source"
    source.mkdir()
    write(
        source,
        [
            ("How many bars?", chart(1), 1),
            ("how many bars", chart(1, 150, "JPEG", quality=75), 1),
            ("Which is the highest?", chart(1), 1),
            ("How high?", chart(7, 160, "JPEG", quality=75), 3),
            ("How low?", chart(7), 3),
        ],
    )
    evaluation = {"own": tmp_path / "evaluation"}
    summary = import_source(source, tmp_path / "all", ReadOptions(evaluation=evaluation))
    assert (summary.near, summary.overlap["own"], summary.overlap_questions["own"]) == (1, 2, 1)
    assert (summary.records["train"], summary.dropped) == (5, 0)
    listed = [json.loads(line) for line in (tmp_path / "all" / "duplicates.jsonl").read_text().split("\n") if line]
    assert [line["doubles"] for line in listed] == ["near train", "overlap-question own", "overlap own"]
    assert listed[0]["record"] == "train.jsonl line 2"
    for drop, left in (("near", 4), ("overlap-question", 4), ("overlap", 3)):
        options = ReadOptions(evaluation=evaluation, drop=frozenset({drop}))
        assert import_source(source, tmp_path / drop, options).records["train"] == left


def test_solutions_of_a_question_that_a_test_asks_overlap_and_are_no_duplicates(tmp_path: Path) -> None:
    (tmp_path / "evaluation").mkdir()
    write(tmp_path / "evaluation", [("How high?", chart(7), 3)], "test.jsonl")
    (tmp_path / "a.png").write_bytes(chart(7))
    told = {"image": "a.png", "question": "How high?", "answer": 3}
    rows = [told | {"response": "3"}, told | {"response": "It is 3."}, told | {"completions": ["3"], "labels": [1.0]}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    summary = Summary()
    options = ReadOptions(evaluation={"own": tmp_path / "evaluation"})
    list(read_rows(tmp_path / "rows.jsonl", summary, options))
    assert (summary.near, summary.repeated, summary.overlap_questions) == (0, 0, {"own": 3})


def test_a_published_benchmark_is_found_in_a_training_set(tmp_path: Path) -> None:
    row = json.loads((PUBLISHED / "M3CoT/data/test.jsonl").read_text().split("\n")[0])
    image = (PUBLISHED / "M3CoT/data" / row["image"]).read_bytes()
    source = write(tmp_path, [(row["question"], image, 1)])
    summary = Summary()
    list(read_rows(source, summary, ReadOptions(evaluation={"m3cot": PUBLISHED})))
    assert summary.overlap_questions == {"m3cot": 1}


IMPORT = """
import sys, time
from pathlib import Path
from mstar_data import importing
importing.CHECKPOINT_EVERY = 20
importing.import_source(Path(sys.argv[1]), Path(sys.argv[2]), tick=lambda done: time.sleep(0.01))
"""


def test_an_import_that_is_killed_goes_on_and_equals_one_that_was_not(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    records = [(f"q{place}", chart(place % 9), place) for place in range(300)]
    records[10], records[150] = ("q10", b"\x89PNG\r\n\x1a\n bad", 1), records[3]
    records[299] = ("q299", chart(299), 299)
    write(source, records)
    whole = import_source(source, tmp_path / "whole", skip_bad=True)
    command = [sys.executable, "-c", IMPORT.replace("tick=", "skip_bad=True, tick="), source, tmp_path / "killed"]
    process = subprocess.Popen(command)
    checkpoint = tmp_path / ".killed.importing" / ".checkpoint.json"
    deadline = time.monotonic() + 60
    while not checkpoint.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed").exists() and checkpoint.is_file()
    # As if it had been killed while it wrote this image.
    torn = checkpoint.parent / "train" / "images" / f"{hashlib.sha256(chart(299)).hexdigest()}.png"
    torn.write_bytes(chart(299)[:60])
    done: list[int] = []
    again = import_source(source, tmp_path / "killed", skip_bad=True, tick=done.append)
    assert again == whole and (again.bad, again.repeated) == (1, 1)
    assert done[0] > 20, "it starts where the last checkpoint was"
    for name in ("train/metadata.jsonl", "import.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    pictures = [sorted((tmp_path / name / "train" / "images").iterdir()) for name in ("killed", "whole")]
    assert len(pictures[0]) == 10
    assert [(one.name, one.read_bytes()) for one in pictures[0]] == [
        (one.name, one.read_bytes()) for one in pictures[1]
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "source", "whole"]
