"""A user's data set as questions, with their images in the image store."""

from collections.abc import Iterator
from pathlib import Path

from mstar.errors import InvalidDataset
from mstar.recipes import STEPS
from mstar.types import Question
from mstar_artefacts.images import ImageStore
from mstar_coordinator.dataset_rows import Row, read_rows


def read_split(folder: Path, split: str, limit: int, images: ImageStore) -> Iterator[Question]:
    """The first `limit` questions. Raises InvalidDataset naming file and line, also when there are too few."""
    for _, question in _read(folder, split, limit, images):
        yield question


def read_solutions(folder: Path, limit: int, images: ImageStore) -> Iterator[tuple[Row, Question]]:
    """The first `limit` solutions with labelled steps, and their questions. Raises InvalidDataset likewise."""
    return _read(folder, STEPS, limit, images)


def _read(folder: Path, split: str, limit: int, images: ImageStore) -> Iterator[tuple[Row, Question]]:
    for row in read_rows(folder, split, limit):
        try:
            data = row.image.read_bytes()
        except OSError as error:
            detail = f"{row.where}: image {row.image.name[:80]} can't be read: {error.strerror}"
            raise InvalidDataset(detail, field="data.source") from error
        yield row, row.question.model_copy(update={"image": images.put(data)})
