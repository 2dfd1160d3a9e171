"""Where paths of a data set may lead besides its own folder: links may point to what the operator allows."""

import re
from pathlib import Path

from mstar.types import Frozen

_OWNED = re.compile(r"\..*|r-[0-9a-z]{14}")
"""Names in the services' own folder that belong to a run, or to nobody else."""


class Reach(Frozen):
    """The folder that the operator allows, without what is closed in it. All paths are absolute and without links."""

    root: Path
    """Below it lie data sets and models."""
    home: Path | None = None
    """The services' own folder, which may be the same one: folders of runs in it are closed, and hidden ones."""
    closed: tuple[Path, ...] = ()
    """Folders that belong to others."""
    binding: bool = True
    """Nothing else may be read, wherever the source leads by now. On their own machine people name what they like."""

    def shut(self, path: Path) -> list[Path]:
        """Closed folders that hold an absolute path without links."""
        found = [one for one in self.closed if path.is_relative_to(one)]
        if self.home is not None and path != self.home and path.is_relative_to(self.home):
            name = path.relative_to(self.home).parts[0]
            found += [self.home / name] if _OWNED.fullmatch(name) else []
        return found
