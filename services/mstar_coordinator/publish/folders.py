"""Folders that appear whole: filled under a temporary name, then put in the place of an older one."""

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path


def replace_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Fill a new folder and put it where `target` is, removing what stood there."""
    staging = target.with_name(f".tmp-{target.name}-{uuid.uuid4().hex}")
    try:
        staging.mkdir(parents=True)
        fill(staging)
        if target.exists():
            shutil.rmtree(target)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def replace_text(target: Path, text: str) -> None:
    """Replace a text file in one rename."""
    staging = target.with_name(f".tmp-{target.name}-{uuid.uuid4().hex}")
    try:
        staging.write_text(text, encoding="utf-8")
        staging.replace(target)
    finally:
        staging.unlink(missing_ok=True)
