"""Digests of files in manifests: `blake3:…` in new ones, `sha256:…` in those of before.

A weight push hashes a whole model before it is served. BLAKE3 reads several times as fast as SHA-256 on one core, and
splits one large file over several.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

from blake3 import blake3
from pydantic import Field

PARALLEL_BYTES = 4 * 1024**2
"""Below this many bytes threads cost more than they save."""
HASHERS = 8
"""Cores in use at most: a disk gives no more."""
BLAKE3, SHA256 = "blake3", "sha256"

Digest = Annotated[str, Field(pattern=rf"^({BLAKE3}|{SHA256}):[0-9a-f]{{64}}$")]
"""Name of the function, a colon and the digest in hexadecimal."""


def digest_of(path: Path, kind: str = BLAKE3, threads: int = 1) -> str:
    """Digest of a file's bytes."""
    if kind == SHA256:
        with open(path, "rb") as file:
            return f"{SHA256}:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    # Mapped, not read: the pages are mostly in the cache already, since the file was just written or is read next.
    return f"{BLAKE3}:{blake3(max_threads=threads).update_mmap(path).hexdigest()}"


def digests_of(files: Sequence[tuple[Path, str]]) -> list[str]:
    """Digests of files, each by the function that is named with it; all cores together where it is worth it."""
    cores = min(HASHERS, os.cpu_count() or 1)
    if sum(path.stat().st_size for path, _ in files) < PARALLEL_BYTES:
        return [digest_of(path, kind) for path, kind in files]
    # Many small files are spread over the cores, one each; a few large ones are each split over several.
    at_once = min(cores, len(files))
    threads = max(1, cores // at_once)
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda file: digest_of(file[0], file[1], threads), files))


def function_of(digest: str) -> str:
    """The function that a digest names."""
    return digest.partition(":")[0]


def hexadecimal(digest: str) -> str:
    """A digest without the name of its function."""
    return digest.partition(":")[2]
