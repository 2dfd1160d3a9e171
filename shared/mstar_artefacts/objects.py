"""The interface of an object store: files by key, which appear whole and stay as they are. Adapter: `s3_objects`."""

from pathlib import Path
from typing import Protocol


class Objects(Protocol):
    """Objects below one prefix.

    Every call ends within bounded time and raises Unavailable when the store does not answer or refuses, and
    StorageFull when it, or the local disk, has no room.
    """

    def read(self, key: str) -> bytes:
        """The bytes of a small object. Raises NotFound."""

    def create(self, key: str, data: bytes) -> bool:
        """Put the bytes of a small object; False, and nothing is changed, where there is one already."""

    def upload(self, path: Path, key: str) -> None:
        """Put a file of any size."""

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens where there is none."""

    def download(self, key: str, path: Path) -> None:
        """Write an object to a file. Raises NotFound."""
