"""A hash of the code that this process can see: what a step leaves is taken over only from the same code.

In a container that is the coordinator's image with the shared packages. A service whose image changes beside an
unchanged coordinator is not noticed, so images are built from one commit.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PACKAGES = (
    "mstar",
    "mstar_models",
    "mstar_coordinator",
    "mstar_policy",
    "mstar_prm",
    "mstar_trainer",
    "minivista",
)
"""What decides the content of an artefact. Packages that are not installed here are passed over."""


@cache
def code_version() -> str:
    """SHA-256 over names and contents of the packages' files; read once, when a study begins."""
    return version_of([Path(place) for name in PACKAGES for place in _places(name)])


def version_of(folders: Sequence[Path]) -> str:
    """SHA-256 over all files below some folders, but for caches; their order does not matter."""
    made = hashlib.sha256()
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        if path.suffix != ".pyc":
            # Without the folders above: where the code is installed does not change what it computes.
            made.update(f"{path.parent.name}/{path.name}\n".encode())
            made.update(hashlib.sha256(path.read_bytes()).digest())
    return made.hexdigest()


def _places(package: str) -> Sequence[str]:
    found = find_spec(package)
    return () if found is None else tuple(found.submodule_search_locations or ())
