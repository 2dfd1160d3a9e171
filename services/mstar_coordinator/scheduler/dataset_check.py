"""Checks every record of a data set that a run will use, before the run is started, without decoding its images."""

from collections.abc import Mapping
from pathlib import Path

from mstar.errors import InvalidDataset
from mstar.pictures import picture_size
from mstar_coordinator.dataset_rows import Row, read_rows


def check_dataset(folder: Path, splits: Mapping[str, int]) -> None:
    """Raises InvalidDataset naming file and line, or the split that has too few questions."""
    for split, count in splits.items():
        if not count:
            continue
        seen: set[Path] = set()
        for row in read_rows(folder, split, count):
            if row.image not in seen:
                _check_picture(row)
                seen.add(row.image)


def _check_picture(row: Row) -> None:
    try:
        with open(row.image, "rb") as file:
            picture_size(file)
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidDataset(f"{row.where}: image {row.image.name[:80]} {reason}", field="data.source") from None
