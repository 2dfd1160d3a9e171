"""From a source's records to rows that can be written: answers read, images decoded, duplicates found."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mstar.answers import answer_of
from mstar.answers.options import repeated_options
from mstar.answers.records import GOLD_COLUMNS, ChoiceForm, columns_of
from mstar.errors import InvalidDataset, MstarError
from mstar.judges import BENCHMARKS
from mstar.pictures import what_instead
from mstar.reach import Reach
from mstar.types import MAX_IMAGES
from mstar_data.benchmarks import items_of
from mstar_data.bounds import Bounds, bounds_of
from mstar_data.duplicates import Duplicates, Duplication, question_key
from mstar_data.fingerprints import Fingerprints
from mstar_data.looks import Fingerprint, Looks
from mstar_data.mapping import Mapping as Columns
from mstar_data.pictures import has_pictures
from mstar_data.record import BadRecord, Record
from mstar_data.sources import records_of
from mstar_data.split_names import KNOWN_SPLITS
from mstar_data.splitting import drawn_split
from mstar_data.summary import Summary

SPLITS = ("train", "validation", "test_id", "test_ood")
STEPS = "steps"
"""Split of labelled solutions, which train a PRM."""
UNLABELLED = "unlabelled"
"""Split of questions without an answer."""
DROPS = ("shared", "near", "overlap", "overlap-question")
"""What may be left out, besides what is repeated inside a split."""
_ENDINGS = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg"}


@dataclass(frozen=True)
class ReadOptions:
    """How a source is read."""

    shares: Mapping[str, float] | None = None
    """Split → its share of all records, drawn by the record's content; None: the source's own splits."""
    first_index: int = 0
    """What the first option is called where options are numbered."""
    answers: ChoiceForm | None = None
    """What stands for the right option of a choice; None takes any that is clear."""
    mapping: Columns | None = None
    held_out: frozenset[str] = frozenset()
    """Ids that the mapping's list keeps from training."""
    unlabelled: bool = False
    """Keep questions without an answer, in a split of their own."""
    drop: frozenset[str] = frozenset()
    evaluation: Mapping[str, Path] = field(default_factory=dict)
    """Benchmark or name → its files, to look for overlap with."""
    reach: Reach | None = None
    """Where links of the source may lead besides its own folder."""


AS_IT_IS = ReadOptions()


@dataclass(frozen=True)
class ImportedRow:
    """A record that is ready to be written."""

    place: int
    """Its number in the source, from 1."""
    where: str
    split: str
    columns: Mapping[str, Any]
    images: tuple[bytes, ...]
    names: tuple[str, ...]
    """File names of the images, from their content."""
    seen: tuple[bytes, bytes, bytes, Fingerprint | None]
    """Digests of record, question and answer, and the first picture."""
    twin: str = ""
    """What the record doubles: `near`, `shared`, `overlap mathvista` …"""


@dataclass(frozen=True)
class _Prepared:
    place: int
    record: Record
    split: str
    columns: Mapping[str, Any]
    images: tuple[bytes, ...]
    names: tuple[str, ...]


def read_rows(
    source: Path,
    summary: Summary,
    options: ReadOptions = AS_IT_IS,
    duplicates: Duplicates | None = None,
    skip: int = 0,
    *,
    looks: Looks | None = None,
    turn: Callable[[], None] = lambda: None,
    bounds: Bounds | None = None,
) -> Iterator[ImportedRow]:
    """Records of a source that can be used, in its order, counted in `summary` with those that cannot.

    `skip`: this many records at the start were read before. `looks`: what decodes pictures; by default it is started
    here. `turn` is called for every record, of use or not, and may raise to end the reading. `bounds`: of the source,
    to be told what lies beyond its folder.
    """
    bounds = bounds or bounds_of(source, options.reach)
    found = duplicates or Duplicates()
    with nullcontext(looks) if looks is not None else Fingerprints() as prints:
        add_evaluation_sets(found, options.evaluation, prints, options.reach)
        pictures: list[Future[Fingerprint]] = []
        for subject, picture in prints.each(_images(source, options, skip, bounds)):
            turn()
            if subject is None:
                summary.filtered += 1
                continue
            if isinstance(subject, str):
                summary.refuse(subject)
                continue
            pictures.append(picture)
            # All are decoded, so that none fails in a run later; the first stands for the record among duplicates.
            if len(pictures) < len(subject.images):
                continue
            looked, pictures = pictures[: len(subject.images)], []
            try:
                found_looks = [one.result() for one in looked]
            except ValueError as error:
                summary.refuse(f"{subject.record.where}: {error}")
                continue
            row = _row(subject, found_looks[0] if found_looks else None)
            record, asked, answer, look = row.seen
            seen = found.see(record, asked, answer, () if look is None else (look,), row.split)
            row = replace(row, twin=_twin(summary, seen, row.split))
            if seen.exact == row.split:
                summary.repeated += 1
            elif _dropped(options.drop, seen, row.split):
                summary.dropped += 1
            else:
                _count(summary, row, subject.record)
                yield row
    whole = sum(summary.records.values())
    summary.pictures_unread = 0 < whole == summary.in_words and has_pictures(source, bounds)


def _count(summary: Summary, row: ImportedRow, record: Record) -> None:
    summary.records[row.split] += 1
    summary.in_words += not row.images
    summary.later_turns += record.later_turns > 0
    summary.same_options += bool(repeated_options(row.columns.get("choices", ())))
    summary.types[row.columns.get("answer_type") or "none"] += 1
    summary.groups[str(row.columns.get("group") or "")] += 1


def add_evaluation_sets(
    duplicates: Duplicates, sets: Mapping[str, Path], prints: Looks, reach: Reach | None = None
) -> None:
    """Remember the questions and pictures of benchmarks and other sets. Raises InvalidDataset for one of no use."""
    for name, path in sets.items():
        if name in BENCHMARKS:
            items = items_of(BENCHMARKS[name], path, reach=reach)
            pairs = ((question_key(one.item.question), one.image) for one in items)
        else:
            pairs = ((question_key(record.question), data) for record, data in _readable(path, reach))
        for question, picture in prints.each(pairs):
            try:
                duplicates.add_evaluation(name, question, (picture.result(),))
            except ValueError as error:
                raise InvalidDataset(f"evaluation set {name}: {error}", field="overlap") from None


def _readable(path: Path, reach: Reach | None) -> Iterator[tuple[Record, bytes]]:
    for record in records_of(path, bounds=bounds_of(path, reach)):
        if isinstance(record, BadRecord):
            raise InvalidDataset(f"evaluation set: {record}", field="overlap")
        if record is not None and record.images:
            yield record, record.images[0]()


def _images(
    source: Path, options: ReadOptions, skip: int, bounds: Bounds
) -> Iterator[tuple[_Prepared | str | None, bytes | None]]:
    """Each prepared record once for each image, or once without; a sentence for one of no use, None for one filtered.

    All in the source's order, so that what is counted up to a record does not depend on how far was read ahead.
    """
    for place, record in enumerate(records_of(source, options.mapping, bounds), 1):
        if place <= skip:
            continue
        if record is None:
            yield None, None
            continue
        if isinstance(record, BadRecord):
            # Raised here, it would keep all that this function has, open archives too, from being let go.
            yield str(record), None
            continue
        try:
            prepared = _prepared(place, record, options)
        except (MstarError, ValueError) as error:
            detail = error.detail if isinstance(error, MstarError) else str(error)
            yield f"{record.where}: {detail}", None
            continue
        # One pair for each image, since pictures are decoded singly and ahead of the records that need them.
        for image in prepared.images or (None,):
            yield prepared, image


def _prepared(place: int, record: Record, options: ReadOptions) -> _Prepared:
    """Raises BadRecord, MstarError or ValueError for what cannot be used."""
    if not record.question.strip():
        raise BadRecord("question is empty")
    for name, text in _texts_of(record):
        # Most texts are ASCII, which is told in an instant; only others are looked through sign by sign.
        if "\x00" in text or (not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text)):
            raise BadRecord(f"{name} holds a character that no text can have (NUL, or half of a surrogate pair)")
    if len(record.images) > MAX_IMAGES:
        raise BadRecord(f"{len(record.images)} pictures, and a question has {MAX_IMAGES} at most: leave some out")
    images = tuple(read() for read in record.images)
    names = tuple(f"{hashlib.sha256(data).hexdigest()}{image_ending(data)}" for data in images)
    split = _split(record, names[0] if names else "", options)
    columns: dict[str, Any] = {"question": record.question, **_gold(record, split, options)}
    columns |= {"id": record.id, "group": record.group}
    if record.response is not None:
        columns["response"] = record.response
    if record.steps:
        columns |= {"completions": list(record.steps), "labels": list(record.labels)}
    columns = {key: value for key, value in columns.items() if value not in (None, [])}
    # Whatever its split is called: nothing there could be judged without an answer.
    if split != STEPS and "answer" not in columns:
        split = UNLABELLED
    return _Prepared(place, record, split, columns, images, names)


def _texts_of(record: Record) -> Iterator[tuple[str, str]]:
    """All texts of a record that would be written, with names for messages."""
    yield "question", record.question
    yield "response", record.response or ""
    yield from (("steps", step) for step in record.steps)
    yield from (("id", record.id or ""), ("group", record.group or ""))
    for name, value in record.gold.items():
        yield from ((name, str(one)) for one in (value if isinstance(value, (list, tuple)) else (value,)))


def _gold(record: Record, split: str, options: ReadOptions) -> dict[str, Any]:
    """Columns of the reference answer; none for a question without one where that is allowed."""
    first, form = options.first_index, options.answers
    if options.mapping is not None:
        first, form = options.mapping.first_index, options.mapping.answers
    missing = not any(record.gold.get(name) not in (None, "") for name in GOLD_COLUMNS)
    if missing and (split == STEPS or options.unlabelled):
        return {}
    if missing and record.answerless:
        raise BadRecord(f"the answer is missing: {record.answerless}; --unlabelled keeps questions without one")
    return columns_of(answer_of(record.gold, first, form))


def _split(record: Record, image: str, options: ReadOptions) -> str:
    if record.split == STEPS:
        return STEPS
    rule = options.mapping.splits if options.mapping is not None else None
    if rule is not None and rule.held_out is not None and record.id in options.held_out:
        return rule.split
    shares, seed = options.shares, 0
    if shares is None and rule is not None and rule.shares:
        shares, seed = {str(split): share for split, share in rule.shares.items()}, rule.seed
    if shares:
        # By content, not by place: a record lands in the same split whatever the order of the file.
        return drawn_split(record.question + image, shares, seed)
    if record.split is None or (rule is not None and rule.held_out is not None):
        return "train"
    named = record.own_split or (rule is not None and rule.column is not None)
    split = record.split if named else KNOWN_SPLITS.get(record.split.casefold())
    if split is None:
        raise BadRecord(f"split {record.split[:40]!r} is unknown: use {', '.join(SPLITS)}, or give --split shares")
    return split


def _row(prepared: _Prepared, picture: Fingerprint | None) -> ImportedRow:
    columns = prepared.columns
    content = [columns["question"], prepared.names, columns.get("answer")]
    content += [columns.get("completions"), columns.get("response")]
    record = _digest(content, 16)
    # Several solutions of one question are no duplicates of each other, and all of them show what a test asks.
    solution = columns.get("completions") or columns.get("response")
    answer = record if solution else _digest(columns.get("answer"))
    return ImportedRow(
        place=prepared.place,
        where=prepared.record.where,
        split=prepared.split,
        columns=columns,
        images=prepared.images,
        names=prepared.names,
        seen=(record, question_key(columns["question"]), answer, picture),
    )


def _digest(value: Any, size: int = 8) -> bytes:
    # 8 bytes are enough for an answer: it counts only between records of the same question and picture.
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=size).digest()


def _twin(summary: Summary, seen: Duplication, split: str) -> str:
    """Count what a record doubles, and name it."""
    if seen.overlap is not None:
        summary.overlap[seen.overlap] += 1
        if seen.overlap_question:
            summary.overlap_questions[seen.overlap] += 1
        return f"{'overlap-question' if seen.overlap_question else 'overlap'} {seen.overlap}"
    if seen.exact is not None and seen.exact != split:
        summary.shared += 1
        return f"shared {seen.exact}"
    if seen.exact is None and seen.near is not None:
        summary.near += 1
        return f"near {seen.near}"
    return ""


def _dropped(drop: frozenset[str], seen: Duplication, split: str) -> bool:
    return (
        ("overlap" in drop and seen.overlap is not None)
        or ("overlap-question" in drop and seen.overlap_question)
        or ("shared" in drop and seen.exact not in (None, split))
        or ("near" in drop and seen.exact is None and seen.near is not None)
    )


def image_ending(data: bytes) -> str:
    """`.png`, `.jpg` or `.webp`, by the first bytes. Raises ValueError for what is not a PNG, JPEG or WebP."""
    for start, ending in _ENDINGS.items():
        if data.startswith(start):
            return ending
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    raise ValueError(f"the image is not a PNG, JPEG or WebP{what_instead(data[:30])}")
