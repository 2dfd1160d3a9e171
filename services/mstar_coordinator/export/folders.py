"""Folders that appear complete: filled under a temporary name, then renamed over an older one.

They have no manifest, since people take them as they are; a digest of the whole tells later whether they still are.
"""

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from mstar_artefacts.digests import BLAKE3, digests_of


def replace_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Fill a new folder and put it where `target` is, removing what stood there.

    The old folder is first renamed aside, so only the instant between two renames finds nothing under the name.
    """
    mark = uuid.uuid4().hex
    staging, aside = (target.with_name(f".tmp-{kind}-{target.name}-{mark}") for kind in ("new", "old"))
    try:
        staging.mkdir(parents=True)
        fill(staging)
        # A folder cannot be renamed over one that is not empty.
        if target.exists():
            target.rename(aside)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def replace_text(target: Path, text: str) -> None:
    """Replace a text file in one rename."""
    staging = target.with_name(f".tmp-{target.name}-{uuid.uuid4().hex}")
    try:
        staging.write_text(text, encoding="utf-8")
        staging.replace(target)
    finally:
        staging.unlink(missing_ok=True)


def digest_of_all(target: Path) -> str | None:
    """One digest of a file, or of all that is in a folder; None where nothing is there."""
    if not target.exists():
        return None
    files = [target] if target.is_file() else sorted(path for path in target.rglob("*") if path.is_file())
    whole = blake3()
    for path, digest in zip(files, digests_of([(path, BLAKE3) for path in files]), strict=True):
        whole.update(f"{path.relative_to(target).as_posix()} {digest}\n".encode(errors="surrogateescape"))
    return f"{BLAKE3}:{whole.hexdigest()}"
