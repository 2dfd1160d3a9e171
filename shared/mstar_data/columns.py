"""Rows with columns: image folders, MathVista, M3CoT, ScienceQA, AI2D, MMStar, MMBench, and tables of one's own."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mstar.answers.options import (
    CHOICE_COLUMNS,
    LETTER_COLUMNS,
    NUMBER_COLUMNS,
    missing,
    options_on_a_line,
    parsed,
    separated,
)
from mstar.answers.records import GOLD_COLUMNS, QUESTION_COLUMNS
from mstar.image_marks import as_published
from mstar_data.conversations import from_llava, from_messages, listed, taken_apart, turns_of, unnested
from mstar_data.files import Folder, image_given, unwrapped
from mstar_data.published import LATER, as_usual
from mstar_data.record import BadRecord, ReadImage, Record
from mstar_data.split_names import KNOWN_SPLITS
from mstar_data.step_labels import from_steps, is_step_row, unfolded

_IMAGES = (
    "image", "decoded_image", "file_name", "image_path", "img", "picture", "img_path", "imgname", "image_filename",
    "image_file", "image_name", "imagename", "image_local_name", "query_image", "diagram", "image_url",
)  # fmt: skip
_PICTURES = ("images", "file_names", *_IMAGES)
_LONGEST_PATHS = 2000
_IMAGE_IDS = ("image_id", "imageId", "data_id")
"""Columns that name a picture where no other does."""
_SPLITS = ("split", "set_name", "data_split")
_IDS = ("id", "pid", "question_id", "questionId", "index", "qid", "image_id")
_GROUPS = ("group", "task", "category", "l2-category", "l2_category", "topic", "subject", "source", "data_source")
_OPTION_COLUMNS = (*LETTER_COLUMNS, *NUMBER_COLUMNS)
_KEPT = (
    *GOLD_COLUMNS,
    *CHOICE_COLUMNS,
    "answer_type",
    "question_type",
    "precision",
    "unit",
    "alternatives",
    *_OPTION_COLUMNS,
)
_PICTURE_COLUMN = re.compile(r"(?:images?|img|pictures?)(?:[_-]?(?:ids?|urls?|paths?|files?|names?))?", re.IGNORECASE)
_OPTION_COLUMN = re.compile(r"(?:\w*[\s_-])?(?:options?|choices?|candidates?)(?:[\s_-]?list)?", re.IGNORECASE)
_PICTURE_PATH = re.compile(r"\S{1,300}\.(?:png|jpe?g|webp|gif|bmp|tiff?)", re.IGNORECASE)
_NO_PICTURES = {*_IDS, *_GROUPS, *_KEPT, *QUESTION_COLUMNS} - {"image_id"}
_KNOWN = {*QUESTION_COLUMNS, *_IMAGES, *_IDS, *_GROUPS, *_KEPT, "images", "split", "hint", "context", "messages"}
EXPORTED = "mstar"
"""What this project's exports say in verl's `data_source`, which names a reward function there and no group."""
_READ = {*_IMAGES, *CHOICE_COLUMNS, *_IDS, "images", "split"}
_LIKELY = {
    "question": ("question", "query", "prompt", "ask", "problem", "instruction", "input", "text"),
    "answer": ("answer", "gold", "truth", "target", "chosen", "output", "response", "solution", "value"),
}
"""What the name of a column may hold that has the question or the answer, the likeliest first."""
_NAMED = 12
"""Columns that a message lists."""
_MATHVISTA = {
    "figure question answering": "FQA", "geometry problem solving": "GPS", "math word problem": "MWP",
    "textbook question answering": "TQA", "visual question answering": "VQA",
}  # fmt: skip


def from_row(row: Mapping[str, Any], where: str, root: Folder) -> Record:
    """A record of any known shape. Raises BadRecord naming what is missing or would be lost."""
    row = as_usual(spelled(row), root.has)
    if split := _split(row):
        root = replace(root, split=split)
    record = _from_known(row, where, root)
    # Read on, the question would be asked in words only, and nobody would see that its picture is gone.
    if not record.images and (lost := _lost_picture(row)):
        raise BadRecord(
            f"{where}: {lost}, and none is read: call the column 'image', or name it in a mapping (columns: image)"
        )
    return record


def spelled(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row with the names of known columns as they are here: spreadsheets have `Question` and `Answer Type`."""
    if all(name.islower() for name in row):
        return row
    small = {name: name.strip().casefold().replace(" ", "_") for name in row}
    # Options may have columns that are called A to H.
    return {low if low in _KNOWN and low not in row else name: row[name] for name, low in small.items()}


def _from_known(row: Mapping[str, Any], where: str, root: Folder) -> Record:
    # Shapes that can be told by their own columns come first; plain columns are what is left.
    row = unfolded(unnested(row), where)
    if "conversations" in row:
        return from_llava(row, where, root)
    if is_step_row(row):
        return from_steps(row, where, images_of(row, root))
    # What this project exports has its own columns beside a trainer's; they say more than the prompt does.
    turns = None if isinstance(row.get("question"), str) else turns_of(row)
    if turns is not None:
        return from_messages({**row, "messages": turns}, where, root)
    question = _first(row, QUESTION_COLUMNS)
    if not isinstance(question, str) or not question.strip():
        raise BadRecord(f"{where}: question is missing: {columns_to_name(row, 'question')}")
    gold = {name: row[name] for name in _KEPT if row.get(name) is not None}
    images = images_of(row, root)
    embedded, options = taken_apart(question, len(images))
    if not options:
        embedded, options = options_on_a_line(embedded, _first(gold, GOLD_COLUMNS))
    # Options that have columns of their own are the source's word; those in the text are only read without them.
    if options and not any(name in gold for name in (*CHOICE_COLUMNS, *_OPTION_COLUMNS)):
        question, gold["choices"] = embedded, options
    if lost := _lost_options(row, gold):
        raise BadRecord(
            f"{where}: column {lost!r} lists options, and none are read: call it 'choices', or name it in a mapping "
            "(columns: choices)"
        )
    given = row.get("metadata")
    metadata: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    # Tables write `nan` for an empty cell.
    hint = next((row[name] for name in ("hint", "context") if not missing(row.get(name))), None)
    if isinstance(hint, str) and hint.strip():
        question = f"{hint.strip()}\n{question}"
    return Record(
        where=where,
        question=as_published(question, len(images)),
        images=images,
        gold=gold,
        id=_text(_first(row, _IDS)),
        group=_group(row, metadata),
        split=_split(row) or _text(metadata.get("split")),
        response=row["response"] if isinstance(row.get("response"), str) and row["response"].strip() else None,
        responses=tuple(one for one in listed(row.get("responses")) or () if isinstance(one, str)),
        answerless="" if any(name in gold for name in GOLD_COLUMNS) else _answerless(row),
        later_turns=row[LATER] if isinstance(row.get(LATER), int) else 0,
    )


def _answerless(row: Mapping[str, Any]) -> str:
    """Why the row has no answer, and what to do."""
    empty = next((name for name in GOLD_COLUMNS if name in row), None)
    return columns_to_name(row, "answer") if empty is None else f"column {empty!r} is null: give its answer"


def images_of(row: Mapping[str, Any], root: Folder) -> tuple[ReadImage, ...]:
    """All images of a row, in their order.

    Those of `images`, else of `file_names` (ours and the Hub's), else of `image_1` to `image_9` (MMMU), else its one
    image, if it has any.
    """
    for several in (row.get(name) for name in _PICTURES):
        # Pixels as numbers are one picture.
        if many := listed(several) or _paths(several, root):
            return tuple(image_of({"image": one}, root) for one in many)
    if isinstance(row.get("images"), (str, bytes, Mapping)) and row["images"]:
        return (image_of({"image": row["images"]}, root),)
    numbered = [row[name] for place in range(1, 10) if row.get(name := f"image_{place}") is not None]
    if numbered and not any(row.get(name) is not None for name in _IMAGES):
        return tuple(image_of({"image": one}, root) for one in numbered)
    if all(row.get(name) is None for name in _IMAGES):
        named = next((row[name] for name in _IMAGE_IDS if isinstance(row.get(name), (str, int))), None)
        read = None if named is None else root.of_id(named)
        return () if read is None else (read,)
    return (image_of(row, root),)


def image_of(row: Mapping[str, Any], root: Folder) -> Callable[[], bytes]:
    """Reads the image of a row, from the first of its columns that has bytes, else a path or base64."""
    # MathVista keeps a path in `image` and the bytes beside it, so bytes are looked for first.
    given = [row[name] for name in _IMAGES if row.get(name) is not None]
    for one in map(unwrapped, given):
        if isinstance(one, (bytes, bytearray)):
            return lambda data=bytes(one): data  # type: ignore[misc]
    # InfographicVQA has an address beside the name.
    one = next((one for one in given if not _is_address(one)), given[0] if given else None)
    split, named = row.get("split"), row.get("id")
    # ScienceQA has a folder for each of its pictures, which are all called alike.
    folders = (f"{split}/{named}",) if isinstance(split, str) and isinstance(named, str) else ()
    return image_given(one, root, *folders)


def _paths(value: Any, root: Folder) -> list[str]:
    """The paths of `1.png|2.png`, which tables write; empty for anything that is not several paths of pictures."""
    if not isinstance(value, str) or len(value) > _LONGEST_PATHS:
        return []
    parts = re.split(r"\s*[|;,]\s*", value.strip())
    several = len(parts) > 1 and all(map(_PICTURE_PATH.fullmatch, parts))
    return parts if several and not root.has(value) else []


def _is_address(given: Any) -> bool:
    return isinstance(given, str) and given.startswith(("http:", "https:"))


def _lost_picture(row: Mapping[str, Any]) -> str:
    """What in a row says that it has a picture, for one that is read without; empty where nothing does."""
    for name, value in row.items():
        if value in (None, "", []) or name in _NO_PICTURES:
            continue
        if _PICTURE_COLUMN.fullmatch(name) or _is_picture(value):
            return f"column {name!r} names a picture"
    return ""


def _lost_options(row: Mapping[str, Any], gold: Mapping[str, Any]) -> str:
    """The column that lists options, of a row that is read without any; empty where none does."""
    if any(name in gold for name in (*CHOICE_COLUMNS, *_OPTION_COLUMNS)):
        return ""
    named = (name for name in row if name not in _KNOWN and _OPTION_COLUMN.fullmatch(name))
    return next((name for name in named if _is_list_of_options(row[name])), "")


def _is_list_of_options(value: Any) -> bool:
    value = parsed(value) if isinstance(value, str) else value
    value = separated(value) if isinstance(value, str) else value
    return isinstance(value, (list, tuple, Mapping)) and len(value) > 1


def columns_to_name(row: Mapping[str, Any], wanted: str) -> str:
    """The columns of a row of which a mapping may name one, and how it does."""
    names = [name[:40] for name in _names(row) if name not in _READ]
    # Stable, so that of those that are as likely the source's order stays.
    names.sort(key=lambda name: next((at for at, word in enumerate(_LIKELY[wanted]) if word in name.casefold()), 99))
    shown = ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")
    example = f"(columns: {{{wanted}: {names[0] if names else '…'}}})"
    return f"call its column {wanted!r}, or name one of {shown or 'them'} in a mapping {example}"


def _names(row: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Names of the columns that hold something, with a dot for what lies in an object."""
    for name, value in row.items():
        if isinstance(value, Mapping) and value and not before.count(".") and not _is_picture(value):
            yield from _names(value, f"{before}{name}.")
        elif not missing(value) and value != []:
            yield f"{before}{name}"


def _is_picture(value: Any) -> bool:
    if isinstance(value, (list, tuple)) and value:
        value = value[0]
    if isinstance(value, Mapping):
        return isinstance(value.get("bytes"), bytes)
    return isinstance(value, str) and _PICTURE_PATH.fullmatch(value.strip()) is not None


def _group(row: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    task = metadata.get("task")
    if isinstance(task, str) and task in _MATHVISTA:
        return _MATHVISTA[task]
    named = {name: row[name] for name in _GROUPS if row.get(name) != EXPORTED and name in row}
    return _text(_first(named, _GROUPS) or task)


def _split(row: Mapping[str, Any]) -> str | None:
    """What the row says itself. Only known names count in the columns of others, which may mean something else."""
    found = next((row[name] for name in _SPLITS if row.get(name) not in (None, "")), None)
    return _text(found) if row.get("split") or str(found).casefold() in KNOWN_SPLITS else None


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, (dict, list, bytes)) else str(value)[:200]
