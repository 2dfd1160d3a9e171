"""A run by the command line on questions with none, one, two and three images, and its data sets back again.

What this leaves out: exactness, which `test_model_families.py` compares.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from minivista.loader import load_split
from mstar.prompts import PRESETS, PromptPreset
from mstar_data.exporting import Origin, export
from mstar_data.layouts import layout
from mstar_data.rows import ReadOptions, read_rows
from mstar_data.samples import sample_folder, samples_of
from mstar_data.summary import Summary

pytestmark = [pytest.mark.system, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
SIZES = {"train": 12, "validation": 4, "test_id": 4, "test_ood": 4}
SETTINGS: dict[str, Any] = {
    **{f"data.{split}": count for split, count in SIZES.items()},
    "warmup.questions": 12,
    "warmup.n": 8,
    "prm.questions": 12,
    "prm.n": 1,
    "prm.completions": 2,
    "prm.balance": False,
    "evolution.questions": 12,
    "evolution.iterations": 1,
    "evolution.n": 8,
    "exploration.mode": "fixed",
    "evaluation.n": 2,
    "evaluation.k": 2,
}
KEPT = ("question", "answer", "answer_type", "choices", "id", "group", "response", "completions", "labels")
Rows = list[tuple[dict[str, Any], tuple[bytes, ...]]]


def write_mixed(folder: Path) -> dict[str, tuple[bytes, ...]]:
    """The choices of the benchmark that ships, where question i shows i % 4 images. Returns the images by question.

    A question's own image is its last one. The base has seen one image a question, and of three options it often says
    the right one all the same.
    """
    shown: dict[str, tuple[bytes, ...]] = {}
    for split, count in SIZES.items():
        (folder / split).mkdir(parents=True)
        choices = [one for one in load_split(split, 12 * count) if one[0].answer and one[0].answer.choices][:count]
        lines = []
        for place, (question, png) in enumerate(choices):
            (folder / split / f"{place}.png").write_bytes(png)
            own = range(place + 1 - place % 4, place + 1)
            files = [f"{one}.png" for one in own]
            assert question.answer is not None
            row = {"id": question.id, "question": question.text, "answer": question.answer.value}
            row |= {"answer_type": question.answer.type.value, "choices": question.answer.choices}
            row |= {"file_name": files[0]} if len(files) == 1 else {"file_names": files} if files else {}
            lines.append(json.dumps(row))
            shown[question.id] = tuple(choices[one][1] for one in own)
        assert len(lines) == count
        (folder / split / "metadata.jsonl").write_text("\n".join(lines))
    return shown


def back(folder: Path) -> Rows:
    """The rows of a data set as an import reads them."""
    summary = Summary()
    rows = [
        ({name: row.columns[name] for name in KEPT if name in row.columns}, row.images)
        for row in read_rows(folder, summary, ReadOptions(unlabelled=True))
    ]
    assert summary.problems == []
    return rows


def test_a_run_on_mixed_questions_and_its_data_sets_back_again(tmp_path: Path) -> None:
    shown = write_mixed(tmp_path / "mixed")
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    command = [sys.executable, "-c", "from mstar.cli import main; main()", "run", "start", "demo", *settings]
    env = {key: value for key, value in os.environ.items() if not key.startswith("MSTAR_")}
    env |= {"PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'services'}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--set", "data.source=mixed", "--home", str(tmp_path / "home"), "--json"],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout)
    assert results["state"] == "succeeded" and results["iterations"][0]["responses"] == 12 * 8
    assert results["outcomes"]["it01"]["skipped"] == 0 and results["unscored"] == {}
    run = tmp_path / "home" / results["id"]
    for which, column, kinds in (("cot", "response", {1, 2, 3}), ("prm", "completions", {0, 1, 2, 3})):
        rows = back(run / f"{which}_dataset")
        assert rows and all(columns[column] for columns, _ in rows)
        # A labelled solution's id is its question's and a number.
        assert all(images == shown[columns["id"][: len("minivista/train/000000")]] for columns, images in rows)
        assert {len(images) for _, images in rows} >= kinds
        for name in ("parquet", "ms-swift"):
            target = tmp_path / f"{which}-{name}"
            samples = samples_of(sample_folder(run, which), PRESETS[PromptPreset.MINIVISTA])
            export(samples, layout(name), target, Origin(results["id"]))
            assert back(target) == rows
    assert 'alt="image 2 of the question"' in (run / "report.html").read_text()
