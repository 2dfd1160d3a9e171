"""Remembers on the disk what images look like, by content, so that a second check of a data set decodes nothing.

Lines are only ever appended, each in one write, by any number of processes. A line that a crash or two writers tore is
passed over, and its image decoded again.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mstar_data.looks import Fingerprint

RULES = "1"
"""Goes up with the rules of the decoder: what was refused by older ones may pass, and the other way round."""


@dataclass
class KnownImages:
    """A folder with 256 files, each read when an image whose hash begins with its name is first asked for."""

    folder: Path
    _parts: dict[str, dict[str, Fingerprint | str]] = field(default_factory=dict)

    def get(self, sha256: str) -> Fingerprint | str | None:
        """What the image looks like, or why it cannot be used; None where nobody has looked yet."""
        return self._part(sha256).get(sha256)

    def put(self, sha256: str, found: Fingerprint | str) -> None:
        """Remember it. An image that is refused for lack of time or memory should not be."""
        self._part(sha256)[sha256] = found
        line = {"sha256": sha256, "problem": found} if isinstance(found, str) else _line(found)
        self._path(sha256).parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path(sha256), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            # A line feed on both sides: what another writer tore ends before this line begins.
            # One write in append mode: lines of several processes may follow each other, never mix, on a local disk.
            os.write(descriptor, b"\n" + json.dumps(line).encode() + b"\n")
        finally:
            os.close(descriptor)

    def _part(self, sha256: str) -> dict[str, Fingerprint | str]:
        found = self._parts.get(sha256[:2])
        if found is None:
            found = self._parts[sha256[:2]] = _read(self._path(sha256))
        return found

    def _path(self, sha256: str) -> Path:
        return self.folder / RULES / f"{sha256[:2]}.jsonl"


def _line(found: Fingerprint) -> dict[str, str]:
    return {"sha256": found.sha256, "outline": f"{found.outline:x}", "colours": found.colours.hex()}


def _read(path: Path) -> dict[str, Fingerprint | str]:
    known: dict[str, Fingerprint | str] = {}
    if not path.is_file():
        return known
    for line in path.read_bytes().split(b"\n"):
        try:
            row: Mapping[str, str] = json.loads(line)
            known[row["sha256"]] = row["problem"] if "problem" in row else _look(row)
        except (ValueError, KeyError, TypeError):
            continue
    return known


def _look(row: Mapping[str, str]) -> Fingerprint:
    return Fingerprint(row["sha256"], int(row["outline"], 16), bytes.fromhex(row["colours"]))
