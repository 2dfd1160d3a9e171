"""`mstar run download RUN`: takes what a run left to this machine, file by file, and checks each by its SHA-256.

A file that broke off goes on at its last byte, and one that is there and right is not sent again. One that the run has
rewritten since the files were listed is listed again.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from mstar.api.downloads import DownloadFile, Part
from mstar.client import Client
from mstar.errors import CorruptArtefact, Internal, NotFound
from mstar.writing import not_written

UNFINISHED = ".part"
VERSIONS = 5
"""Of one file that are tried: the results of a run that goes on are rewritten every few seconds at most."""
Report = Callable[[int], None]
"""Told how many bytes came."""


def download(client: Client, run_id: str, part: Part, out: Path, report: Report, below: str = "") -> list[DownloadFile]:
    """Bring the files of a part below `out`; returns all of them. `below`: what their names lose, such as `policy/`.

    Raises NotFound, CorruptArtefact, StorageFull or NotWritable.
    """
    files = list(client.download_files(run_id, part).data)
    # All names are checked before the first byte is written.
    targets = [(one, _target(out, one.name.removeprefix(below))) for one in files]
    brought = []
    for one, target in targets:
        try:
            brought.append(_bring_version(client, run_id, part, one, target, report))
        except OSError as error:
            raise not_written(error, target) from error
    return [one for one in brought if one is not None]


def _bring_version(
    client: Client, run_id: str, part: Part, one: DownloadFile, target: Path, report: Report
) -> DownloadFile | None:
    """The file as it was brought: as it was listed, or a later version of it; None once the run has none of the name.

    Raises CorruptArtefact where a version does not have its own checksum.
    """
    for _ in range(VERSIONS - 1):
        try:
            _bring(client, run_id, part, one, target, report)
            return one
        except (CorruptArtefact, NotFound):
            later = next((file for file in client.download_files(run_id, part).data if file.name == one.name), None)
            if later is None:
                target.with_name(target.name + UNFINISHED).unlink(missing_ok=True)
                return None
            if later == one:
                raise
            one = later
    _bring(client, run_id, part, one, target, report)
    return one


def _target(out: Path, name: str) -> Path:
    """Where a file goes. Raises Internal for a name that would leave the folder, which no server of ours sends."""
    parts = PurePosixPath(name).parts
    if not parts or any(part in ("..", "/") or "\\" in part or "\x00" in part for part in parts):
        raise Internal(f"the server names a file {name[:100]!r}, which lies outside of the folder")
    return out.joinpath(*parts)


def _bring(client: Client, run_id: str, part: Part, one: DownloadFile, target: Path, report: Report) -> None:
    # The size first: a file of another length needs no reading.
    if target.is_file() and target.stat().st_size == one.bytes and _sum(target) == one.sha256:
        report(one.bytes)
        return
    unfinished = target.with_name(target.name + UNFINISHED)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    there = unfinished.stat().st_size if unfinished.is_file() else 0
    if there > one.bytes:
        there = 0
    report(there)
    for begin in (there, 0):
        _append(client, run_id, part, one, unfinished, begin, report)
        if _sum(unfinished) == one.sha256:
            # Renamed once its hash is right, so a name without `.part` is a whole file.
            unfinished.replace(target)
            return
        # What was there before may be of another run's file: once more from the start.
        report(-one.bytes)
        if begin == 0:
            break
    unfinished.unlink(missing_ok=True)
    raise CorruptArtefact(f"{one.name} does not have the checksum that the server names: download it again")


def _append(
    client: Client, run_id: str, part: Part, one: DownloadFile, unfinished: Path, begin: int, report: Report
) -> None:
    with open(unfinished, "ab" if begin else "wb") as sink:
        for data in client.download_file(run_id, part, one.name, begin, one.bytes):
            sink.write(data)
            report(len(data))


def _sum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
