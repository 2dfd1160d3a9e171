"""Records of a data set as lines that `mstar score` reads: question, options, responses, and pictures as files.

Tables, Parquet, archives, chat files and folders hold pictures in many ways. Here each is written once, under the hash
of its bytes, so that what is scored can be scored again and exported without its source.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mstar.errors import InvalidDataset, InvalidInput
from mstar.layout import STEP_SEPARATOR, join_segments
from mstar_data.bounds import bounds_of
from mstar_data.record import BadRecord, Record
from mstar_data.rows import ReadOptions, image_ending
from mstar_data.sources import records_of


def lines_to_score(source: Path, pictures: Path, options: ReadOptions) -> Iterator[tuple[str, str]]:
    """Where each record stands, and its line. Images are written below `pictures` and named from the folder above it.

    What a mapping filters out is left out. Raises InvalidDataset, naming file and place, for a record that cannot be
    used or has no response, and InvalidInput where the images cannot be written.
    """
    for record in records_of(source, options.mapping, bounds_of(source, options.reach)):
        if record is None:
            continue
        try:
            if isinstance(record, BadRecord):
                raise record
            yield record.where, json.dumps(_line(record, pictures), default=str)
        except ValueError as error:
            where = "" if isinstance(record, BadRecord) else f"{record.where}: "
            raise InvalidDataset(f"{where}{error}", field="file") from None
        except OSError as error:
            raise InvalidInput(f"{pictures} cannot be written: {error.strerror}", field="out") from error


def _line(record: Record, pictures: Path) -> dict[str, Any]:
    responses = _responses(record)
    if not responses:
        raise BadRecord("there is no response to score: give `responses`, a list of texts, or `response`")
    named: dict[str, Any] = {"id": record.id, "group": record.group, "question": record.question, **record.gold}
    images = [f"{pictures.name}/{_written(read(), pictures)}" for read in record.images]
    return {name: value for name, value in named.items() if value not in (None, [], ())} | {
        "images": images,
        "responses": list(responses),
    }


def _responses(record: Record) -> Sequence[str]:
    if record.responses:
        return record.responses
    if record.response is not None:
        return (record.response,)
    return (join_segments(record.steps, STEP_SEPARATOR),) if record.steps else ()


def _written(data: bytes, pictures: Path) -> str:
    """The file's name. Raises ValueError for bytes that are no image of a known kind."""
    path = pictures / f"{hashlib.sha256(data).hexdigest()}{image_ending(data)}"
    if not path.exists():
        pictures.mkdir(exist_ok=True)
        # One rename, so that a kill leaves no half of a picture under its name.
        begun = path.with_suffix(".begun")
        begun.write_bytes(data)
        os.replace(begun, path)
    return path.name
