"""Digests are those of the published functions, whatever threads compute them."""

import hashlib
from pathlib import Path

import pytest
from blake3 import blake3

from mstar_artefacts.digests import BLAKE3, PARALLEL_BYTES, SHA256, digest_of, digests_of, function_of, hexadecimal

OF_NOTHING = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
"""From the test vectors that BLAKE3 publishes."""


def test_the_digest_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert digest_of(tmp_path / "empty") == f"blake3:{OF_NOTHING}"
    assert digest_of(tmp_path / "empty", SHA256) == f"sha256:{hashlib.sha256().hexdigest()}"


@pytest.mark.parametrize(
    "sizes", [(0, 1, 70_000), (PARALLEL_BYTES, 3), (PARALLEL_BYTES + 1,), (PARALLEL_BYTES // 8,) * 9]
)
def test_many_files_and_large_ones(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    files = []
    for number, size in enumerate(sizes):
        path = tmp_path / str(number)
        path.write_bytes(bytes([number + 1]) * size)
        files.append((path, (BLAKE3, SHA256)[number % 2]))
    found = digests_of(files)
    for (path, kind), digest in zip(files, found, strict=True):
        data = path.read_bytes()
        expected = blake3(data).hexdigest() if kind == BLAKE3 else hashlib.sha256(data).hexdigest()
        assert (function_of(digest), hexadecimal(digest)) == (kind, expected)
