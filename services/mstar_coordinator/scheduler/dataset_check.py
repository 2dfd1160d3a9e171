"""Checks a data set folder before a run is started on it, without decoding its images.

A data set has one sub-folder per split with `metadata.jsonl`: one JSON object a line with `file_name` (an image in the
same sub-folder), `question` and `answer`. Reading it into the artefact store is a worker's job.
"""

import json
from pathlib import Path
from typing import Any

from mstar.errors import InvalidDataset
from mstar.recipes import DataRecipe

COLUMNS = ("file_name", "question", "answer")


def check_dataset(folder: Path, data: DataRecipe) -> None:
    """Raises InvalidDataset naming file and line, or the split that has too few questions."""
    wanted = {"train": data.train, "validation": data.validation, "test_id": data.test_id, "test_ood": data.test_ood}
    for split, count in wanted.items():
        if count:
            _check_split(folder / split, split, count)


def _check_split(folder: Path, split: str, wanted: int) -> None:
    metadata = folder / "metadata.jsonl"
    if not metadata.is_file():
        raise InvalidDataset(f"{split}/metadata.jsonl is missing in the data set", field="data.source")
    found = 0
    with open(metadata, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                _check_row(folder, f"{split}/metadata.jsonl line {number}", line)
                found += 1
            if found == wanted:
                return
    raise InvalidDataset(
        f"{split}/metadata.jsonl has {found} questions but the recipe wants {wanted}: lower data.{split}",
        field=f"data.{split}",
    )


def _check_row(folder: Path, where: str, line: bytes) -> None:
    try:
        row: Any = json.loads(line)
    except ValueError:
        raise InvalidDataset(f"{where}: not valid JSON", field="data.source") from None
    if not isinstance(row, dict):
        raise InvalidDataset(f"{where}: not a JSON object", field="data.source")
    for column in COLUMNS:
        if not str(row.get(column) or "").strip():
            raise InvalidDataset(f"{where}: {column} is missing or empty", field="data.source")
    image = (folder / str(row["file_name"])).resolve()
    if not image.is_relative_to(folder.resolve()) or not image.is_file():
        raise InvalidDataset(
            f"{where}: image {str(row['file_name'])[:200]} is not in the split's folder", field="data.source"
        )
