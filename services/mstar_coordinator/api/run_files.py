"""The downloadable files of a run: plain files below its folder, neither hidden nor reached through a link."""

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from mstar.api.downloads import Download, DownloadFile, Part
from mstar.errors import NotFound
from mstar_coordinator.api.archives import Entry, archive, held

PLACES = {
    Part.POLICY: "policy",
    Part.PRM: "prm",
    Part.COT_DATASET: "cot_dataset",
    Part.PRM_DATASET: "prm_dataset",
    Part.EVALUATION: "evaluation",
    Part.REPORT: "report.html",
    Part.RECIPE: "recipe.yaml",
    Part.RESULTS: "results.json",
}
CACHED = 10_000


class RunFiles:
    """Files below run folders, and their checksums, each made once for a file as it is."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Path | str, int, int], str] = {}
        self._lock = threading.Lock()

    def there(self, folder: Path) -> list[Download]:
        """Each part that the run has by now."""
        parts = [
            Download(part=part, files=len(found), bytes=_size(found)) for part in PLACES if (found := _of(folder, part))
        ]
        return [
            *parts,
            Download(part=Part.ALL, files=sum(one.files for one in parts), bytes=sum(o.bytes for o in parts)),
        ]

    def entries(self, folder: Path, part: Part) -> list[Entry]:
        """Files of a part, in order. Raises NotFound where the run has none."""
        parts = PLACES if part is Part.ALL else (part,)
        found = [entry for one in parts for entry in _of(folder, one)]
        if not found:
            detail = f"run {folder.name} has no {part.value}: models and data sets are there once it has succeeded"
            raise NotFound(detail, field="part")
        return found

    def entry(self, folder: Path, part: Part, name: str) -> Entry:
        """One of them by its name. Raises NotFound."""
        for one in PLACES if part is Part.ALL else (part,):
            # Not by a look at all files: a data set has thousands of them, and clients ask for one after another.
            with contextlib.suppress(FileNotFoundError):
                if _takes(folder, PLACES[one], name):
                    return _entry(f"{folder}/{name}", folder, rewritten=name == PLACES[one])
        raise NotFound(f"{part.value} of run {folder.name} has no file {name[:100]!r}", field="name")

    def listed(self, folder: Path, part: Part) -> list[DownloadFile]:
        """Files of a part with their SHA-256; reads those that were not read before. Raises NotFound."""
        entries = [held(entry) for entry in self.entries(folder, part)]
        return [
            DownloadFile(name=entry.name, bytes=entry.size, sha256=self._sum(entry), begin=begin)
            for entry, begin in zip(entries, archive(entries, folder.name).begins, strict=True)
        ]

    def _sum(self, entry: Entry) -> str:
        if entry.data is not None:
            return hashlib.sha256(entry.data).hexdigest()
        key = (entry.path, entry.size, entry.mtime_ns)
        with self._lock:
            known = self._sums.get(key)
        if known is None:
            # Read outside of the lock: gigabytes take seconds, and others ask for other files.
            with open(entry.path, "rb") as file:
                known = hashlib.file_digest(file, "sha256").hexdigest()
            with self._lock:
                if len(self._sums) >= CACHED:
                    self._sums.clear()
                self._sums[key] = known
        return known


def _of(folder: Path, part: Part) -> list[Entry]:
    place = folder / PLACES[part]
    found = []
    for path in _files(place):
        # A report is taken away when its run goes on.
        with contextlib.suppress(FileNotFoundError):
            # Files beside the folders are written by the coordinator itself, again and again while a run goes on.
            found.append(_entry(path, folder, rewritten=path == str(place)))
    return found


def _files(place: Path) -> Iterator[str]:
    """Plain files, in the order of their names; what hides or is a link is nobody's to take."""
    if place.is_symlink():
        return
    if place.is_file():
        yield str(place)
    elif place.is_dir():
        yield from _below(str(place))


def _below(folder: str) -> Iterator[str]:
    with os.scandir(folder) as found:
        inside = sorted((one for one in found if not one.name.startswith(".")), key=lambda one: one.name)
    for one in inside:
        if one.is_dir(follow_symlinks=False):
            yield from _below(one.path)
        elif one.is_file(follow_symlinks=False):
            yield one.path


def _takes(folder: Path, place: str, name: str) -> bool:
    """Whether a name that was sent is one of those that a look into the place finds (`_files`)."""
    parts = name.split("/")
    if parts[0] != place or any(part == "" or part.startswith(".") for part in parts):
        return False
    # Any folder on the way may be a link. A name that the disk cannot have is not a file's.
    above = [folder.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
    try:
        return not any(path.is_symlink() for path in above) and above[-1].is_file()
    except (OSError, ValueError):
        return False


def _entry(path: str, folder: Path, *, rewritten: bool) -> Entry:
    seen = os.stat(path)
    return Entry(path[len(str(folder)) + 1 :], path, seen.st_size, seen.st_mtime_ns, rewritten)


def _size(entries: list[Entry]) -> int:
    return sum(entry.size for entry in entries)
