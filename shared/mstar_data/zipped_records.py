"""Files of records inside of a zip, as somebody packs a whole folder. Nothing is unpacked to the disk."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mstar_data.bounds import Opener
from mstar_data.tars import ALLOWANCE, RATIO
from mstar_data.zips import files_in, opened_zip

MOST_LISTS = 64
"""JSON files that are opened to see whether they hold a list; a webdataset has one for each sample."""


def record_members(path: Path, opened: Opener, endings: Sequence[str]) -> list[str]:
    """Members of a zip that hold records, in order; none of a webdataset. Raises ValueError for a damaged zip."""
    if path.suffix.lower() != ".zip":
        return []
    with opened_zip(path, opened) as archive:
        files = files_in(archive)
        found = [one for one in files if _ending(one) in endings and _ending(one) != ".json"]
        lists = [one for one in files if _ending(one) == ".json"]
        if len(lists) <= MOST_LISTS:
            found += [one for one in lists if _is_list(archive, one)]
    return sorted(one.filename for one in found)


def member_opener(path: Path, opened: Opener) -> Opener:
    """Opens members of a zip by their names. Raises ValueError for one that cannot be unpacked, or unpacks to much."""

    def opener(member: Path) -> io.BufferedReader:
        archive = opened_zip(path, opened)
        try:
            info = archive.getinfo(member.as_posix())
            if info.file_size > RATIO * info.compress_size + ALLOWANCE:
                raise ValueError(f"it unpacks to {info.file_size >> 20} MiB: unpack {path.name}")
            return _Member(archive, info)
        except BaseException:
            archive.close()
            raise

    return opener


class _Member(io.BufferedReader):
    """A member, with the archive that it keeps open. It ends where its header says."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self._archive = archive
        super().__init__(archive.open(info))  # type: ignore[arg-type]

    def close(self) -> None:
        super().close()
        self._archive.close()


def _ending(info: zipfile.ZipInfo) -> str:
    return PurePosixPath(info.filename).suffix.lower()


def _is_list(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    with archive.open(info) as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
