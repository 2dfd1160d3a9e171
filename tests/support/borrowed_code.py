"""Compiled code of this environment's packages, for another environment that installs the same sources.

Compiling what the programs of images import takes longer than all else of their replay, and most lies here already.
Each file is marked with the hash of its source (PEP 552): the interpreter compares it at every import, and compiles for
itself what differs.
"""

import importlib.util
import os
from _imp import source_hash
from collections.abc import Collection, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.utils import canonicalize_name

CHECKED = (3).to_bytes(4, "little")
"""Flags of a file that is marked with a hash, which is to be compared."""
_BY_TIME = (0).to_bytes(4, "little")
_MAGIC = importlib.util.MAGIC_NUMBER


def lend(names: Collection[str], packages: Path, prefix: Path) -> None:
    """Write what an interpreter with that PYTHONPYCACHEPREFIX finds for these packages, installed in that folder."""
    place = prefix.joinpath(*packages.parts[1:])
    made: set[str] = set()
    for distribution in distributions():
        if canonicalize_name(distribution.name) not in names:
            continue
        for name in _modules(distribution):
            source = str(distribution.locate_file(name))
            target = os.path.join(place, os.path.dirname(name))
            file = os.path.join(target, os.path.basename(importlib.util.cache_from_source(source)))
            if os.path.exists(file) or (code := _code(source)) is None:
                continue
            if target not in made:
                os.makedirs(target, exist_ok=True)
                made.add(target)
            with open(file, "wb") as output:
                output.write(code)


def _modules(distribution: Distribution) -> Iterator[str]:
    """Its sources, as paths in the folder of packages. Nobody imports its tests."""
    for row in (distribution.read_text("RECORD") or "").splitlines():
        name = row.partition(",")[0]
        if name.endswith(".py") and not name.startswith("..") and "/tests/" not in name:
            yield name


def _code(source: str) -> bytes | None:
    """What is compiled for that source, marked with its hash; None where nothing is, or of another time."""
    try:
        with open(importlib.util.cache_from_source(source), "rb") as file:
            header, code = file.read(16), file.read()
        with open(source, "rb") as file:
            text, state = file.read(), os.fstat(file.fileno())
    except OSError:
        return None
    written = int(state.st_mtime) & 0xFFFFFFFF
    if header != _MAGIC + _BY_TIME + written.to_bytes(4, "little") + (len(text) & 0xFFFFFFFF).to_bytes(4, "little"):
        return None
    return _MAGIC + CHECKED + source_hash(int.from_bytes(_MAGIC, "little"), text) + code
