"""Writes `published/`: the hand-made records of `pairs/` in the files and columns in which each benchmark is published.

`python tests/cases/benchmarks/build.py` after a change of the pairs. The images are drawn here.
"""

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

HERE = Path(__file__).parent
PUBLISHED = HERE / "published"
PIXELS = 56


def records(name: str) -> list[dict[str, Any]]:
    """The records of a benchmark, without the responses."""
    lines = (HERE / "pairs" / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line)["record"] for line in lines if line]


def picture(number: int) -> bytes:
    """A PNG of one colour that differs from number to number."""
    colour = bytes(((37 * number) % 256, (91 * number + 60) % 256, (151 * number + 120) % 256))
    rows = b"".join(b"\0" + colour * PIXELS for _ in range(PIXELS))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", PIXELS, PIXELS, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def _parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def main() -> None:
    """Write every benchmark."""
    embedded = [{"bytes": picture(place), "path": None} for place in range(64)]
    _parquet(
        PUBLISHED / "MathVista/data/testmini-00000-of-00001.parquet",
        [{**row, "decoded_image": embedded[place]} for place, row in enumerate(records("mathvista"))],
    )
    m3cot = PUBLISHED / "M3CoT/data"
    (m3cot / "images").mkdir(parents=True, exist_ok=True)
    with (m3cot / "test.jsonl").open("w", encoding="utf-8") as out:
        for place, row in enumerate(records("m3cot")):
            (m3cot / row["image"]).write_bytes(picture(place))
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    _parquet(
        PUBLISHED / "MMStar/mmstar.parquet",
        [{**row, "image": picture(place)} for place, row in enumerate(records("mmstar"))],
    )
    _mmbench(PUBLISHED / "MMBench/MMBench_DEV_EN_V11.tsv")
    _parquet(
        PUBLISHED / "AI2D/data/test-00000-of-00001.parquet",
        [{**row, "image": embedded[place]} for place, row in enumerate(records("ai2d"))],
    )


def _mmbench(path: Path) -> None:
    """A table whose rotations name the row that has the image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = ["index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "l2-category", "split"]
    lines = ["\t".join(columns)]
    for row in records("mmbench"):
        group = row["index"] % 1_000_000
        image = base64.b64encode(picture(group)).decode() if row["index"] == group else str(group)
        lines.append(
            "\t".join(str(v) if (v := {**row, "image": image}.get(name)) is not None else "" for name in columns)
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
