"""Which error a failed write becomes, and what it says to do."""

import errno
import os
import tempfile
from pathlib import Path

import pytest

from mstar.errors import NotWritable, StorageFull, Unavailable
from mstar.writing import not_written, refused, writing

PATH = Path("/home/of/images/ab/ab12.img")


@pytest.mark.parametrize(
    ("number", "kind", "says"),
    [
        (errno.ENOSPC, StorageFull, "no space left in /home/of/images/ab while writing ab12.img: free some disk"),
        (errno.EDQUOT, StorageFull, "free some disk"),
        (errno.EFBIG, StorageFull, f"{PATH} became larger than this process may write: raise the limit (`ulimit -f`)"),
        (errno.EACCES, NotWritable, "permission denied in /home/of/images/ab: give the user of this process read"),
        (errno.EPERM, NotWritable, "permission denied in /home/of/images/ab"),
        (
            errno.EROFS,
            NotWritable,
            "/home/of/images/ab is on a file system that is mounted read-only: mount it",
        ),
        (errno.EIO, NotWritable, f"{PATH} cannot be written: {os.strerror(errno.EIO)}"),
    ],
)
def test_only_a_lack_of_room_is_called_one(number: int, kind: type[Exception], says: str) -> None:
    found = not_written(OSError(number, os.strerror(number)), PATH)
    assert type(found) is kind and says in found.detail


def test_the_folder_is_the_one_that_the_system_refused() -> None:
    refused = PermissionError(errno.EACCES, "Permission denied", "/home/of/images")
    assert "permission denied in /home/of:" in not_written(refused, PATH).detail


def test_what_is_no_file_of_ours_is_left_as_it_is() -> None:
    assert refused(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")) is None
    assert refused(PermissionError(errno.EPERM, "Operation not permitted")) is None, "no path: it may be a socket"
    assert refused(FileNotFoundError(errno.ENOENT, "No such file", "/a/b")) is None
    # As libraries in Rust raise it.
    assert isinstance(refused(OSError("Too many open files (os error 24)")), Unavailable)
    full = refused(OSError(errno.ENOSPC, "No space left on device"))
    assert isinstance(full, StorageFull)
    assert full.detail.endswith(f"a file, perhaps a temporary one in {tempfile.gettempdir()}: free some disk")
    unnamed = refused(OSError(errno.ENOSPC, "No space left on device", "/a/b/c"))
    assert unnamed is not None and "no space left in /a/b while writing c:" in unnamed.detail


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a file that is always full is Linux's")
def test_a_write_that_finds_no_room_is_told_with_its_file() -> None:
    scores = Path("a/scores.jsonl")
    full = pytest.raises(StorageFull, match=r"no space left in a while writing scores\.jsonl")
    with Path("/dev/full").open("wb", buffering=0) as sink, full, writing(scores):
        sink.write(b"a line")
    with pytest.raises(FileNotFoundError), writing(scores):
        Path("/none/at/all").read_bytes()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_no_file_left_to_open_is_told_with_its_limit(number: int, tmp_path: Path) -> None:
    """Sockets have no path, so it is told without one."""
    for path in (tmp_path / "x", None):
        found = refused(OSError(number, "Too many open files"), path)
        assert isinstance(found, Unavailable) and "ulimit -n" in found.detail and found.retry_after
