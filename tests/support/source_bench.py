"""Sources of records that tests write, and what is read from them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mstar_data.rows import ImportedRow, ReadOptions, read_rows
from mstar_data.summary import Summary

CASES = Path(__file__).parents[1] / "cases" / "formats"
PNG = (CASES / "imagefolder" / "train" / "0.png").read_bytes()
OTHER = (CASES / "imagefolder" / "train" / "1.png").read_bytes()


def rows(source: Path, options: ReadOptions = ReadOptions(), summary: Summary | None = None) -> list[ImportedRow]:  # noqa: B008
    """All rows of a source; without a summary to note them in, none may be bad."""
    found = Summary() if summary is None else summary
    read = list(read_rows(source, found, options))
    assert summary is not None or not found.problems, found.problems
    return read


def write(folder: Path, records: list[Mapping[str, Any]], name: str = "all.jsonl") -> Path:
    """Write records a line each, with the picture `0.png` beside them."""
    (folder / "0.png").write_bytes(PNG)
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path
