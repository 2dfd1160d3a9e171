"""Writes a source's records as a data set of the project: a folder a split, images once by content hash.

An import is one transaction: everything is written into a hidden folder beside the target, which is renamed at the end.
What fails leaves nothing.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mstar.answers import answer_of
from mstar.errors import Conflict, InvalidDataset, MstarError
from mstar.seeds import derive
from mstar_data.record import BadRecord, Record
from mstar_data.sources import KNOWN_SPLITS, records_of

SPLITS = ("train", "validation", "test_id", "test_ood")
_ENDINGS = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg"}
_SHOWN = 20


@dataclass
class Summary:
    """What an import read and what it could not use."""

    records: Counter[str] = field(default_factory=Counter)
    """By split."""
    types: Counter[str] = field(default_factory=Counter)
    """By type of answer."""
    groups: Counter[str] = field(default_factory=Counter)
    images: int = 0
    repeated: int = 0
    """Records whose question, image and answer came before in their split; left out."""
    shared: int = 0
    """Records that an earlier split has as well, so that a test would repeat the training."""
    problems: list[str] = field(default_factory=list)
    """The first of them, each with its file and place."""
    bad: int = 0

    def refuse(self, problem: str) -> None:
        """Count a record that cannot be used."""
        self.bad += 1
        if len(self.problems) < _SHOWN:
            self.problems.append(problem)


@dataclass(frozen=True)
class Row:
    """A record that is ready to be written."""

    split: str
    columns: Mapping[str, Any]
    image: bytes
    name: str
    """File name of the image, from its content."""


def read_rows(
    source: Path, summary: Summary, shares: Mapping[str, float] | None = None, first_index: int = 0
) -> Iterator[Row]:
    """Records of a source that can be used, counted in `summary` with those that cannot.

    `shares`: split → its share of all records, drawn by the record's content; None: the source's own splits, and
    `train` where it names none. `first_index`: what the first option is called where options are numbered.
    """
    seen: dict[bytes, list[str]] = {}
    for record in records_of(source):
        if isinstance(record, BadRecord):
            summary.refuse(str(record))
            continue
        try:
            row = _row(record, shares, first_index)
        except (MstarError, ValueError) as error:
            detail = error.detail if isinstance(error, MstarError) else str(error)
            summary.refuse(f"{record.where}: {detail}")
            continue
        key = hashlib.sha256(json.dumps([row.columns["question"], row.name, row.columns["answer"]]).encode()).digest()
        splits = seen.setdefault(key, [])
        if row.split in splits:
            summary.repeated += 1
            continue
        summary.shared += bool(splits)
        splits.append(row.split)
        summary.records[row.split] += 1
        summary.types[row.columns["answer_type"]] += 1
        summary.groups[str(row.columns.get("group") or "")] += 1
        yield row


def import_source(
    source: Path,
    target: Path,
    *,
    shares: Mapping[str, float] | None = None,
    first_index: int = 0,
    skip_bad: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> Summary:
    """Write the data set `target`, or nothing.

    Raises Conflict where the target is there already, and InvalidDataset where records are bad (unless they may be
    skipped) or none is left.
    """
    if target.exists():
        raise Conflict(f"{target} is there already: choose another name, or remove it", field="name")
    summary = Summary()
    work = target.with_name(f".{target.name}.importing-{os.getpid()}")
    try:
        _write(work, read_rows(source, summary, shares, first_index), summary, tick)
        _check(summary, skip_bad)
        (work / "import.json").write_text(json.dumps(_provenance(source, summary), indent=1) + "\n")
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return summary


def _write(work: Path, rows: Iterable[Row], summary: Summary, tick: Callable[[], None]) -> None:
    work.mkdir(parents=True)
    outputs = {}
    try:
        for row in rows:
            folder = work / row.split
            if row.split not in outputs:
                (folder / "images").mkdir(parents=True)
                outputs[row.split] = (folder / "metadata.jsonl").open("w", encoding="utf-8", newline="\n")
            image = folder / "images" / row.name
            if not image.exists():
                image.write_bytes(row.image)
                summary.images += 1
            line = {"file_name": f"images/{row.name}", **row.columns}
            outputs[row.split].write(json.dumps(line, ensure_ascii=False) + "\n")
            tick()
    finally:
        for output in outputs.values():
            output.close()


def _check(summary: Summary, skip_bad: bool) -> None:
    if summary.bad and not skip_bad:
        shown = "\n  ".join(summary.problems)
        raise InvalidDataset(
            f"{summary.bad} records cannot be used:\n  {shown}\nmend them, or leave them out with --skip-bad",
            field="source",
        )
    if not summary.records:
        raise InvalidDataset("no record can be used", field="source")


def _row(record: Record, shares: Mapping[str, float] | None, first_index: int) -> Row:
    """Raises BadRecord, MstarError or ValueError for what cannot be used."""
    if not record.question.strip():
        raise BadRecord("question is empty")
    answer = answer_of(record.gold, first_index)
    data = record.image()
    name = f"{hashlib.sha256(data).hexdigest()}{_ending(data)}"
    columns: dict[str, Any] = {
        "question": record.question,
        "answer": answer.value,
        "answer_type": answer.type.value,
        "choices": list(answer.choices),
        "precision": answer.precision,
        "unit": answer.unit,
        "id": record.id,
        "group": record.group,
    }
    columns = {key: value for key, value in columns.items() if value not in (None, [])}
    split = _drawn(record.question + name, shares) if shares else _own_split(record)
    return Row(split=split, columns=columns, image=data, name=name)


def _own_split(record: Record) -> str:
    if record.split is None:
        return "train"
    split = KNOWN_SPLITS.get(record.split.casefold())
    if split is None:
        raise BadRecord(f"split {record.split[:40]!r} is unknown: use {', '.join(SPLITS)}, or give --split shares")
    return split


def _drawn(content: str, shares: Mapping[str, float]) -> str:
    """By the record's own content: the same record falls into the same split however the source is ordered."""
    point, below = derive(0, "split", content) / 2**63, 0.0
    for split, share in shares.items():
        below += share
        if point < below:
            return split
    return list(shares)[-1]


def _ending(data: bytes) -> str:
    """Raises ValueError for what is no PNG, JPEG or WebP."""
    for start, ending in _ENDINGS.items():
        if data.startswith(start):
            return ending
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    raise ValueError("the image is no PNG, JPEG or WebP: convert it")


def _provenance(source: Path, summary: Summary) -> dict[str, Any]:
    return {
        "source": source.name,
        "records": dict(summary.records),
        "images": summary.images,
        "repeated": summary.repeated,
        "shared_by_splits": summary.shared,
        "skipped": summary.bad,
    }
