"""Where the recipes of a project may read: folders of the operator's, and nothing that another project owns."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mstar.api.keys import DEFAULT_PROJECT
from mstar.reach import Reach

PROJECTS = "projects"
"""Folder below data_root that holds a folder for each project but the default one."""


@dataclass(frozen=True)
class DataPlaces:
    """The folder below which paths of recipes lie, and what is closed in it."""

    root: Path
    closed: Callable[[Path], bool] = lambda _: False
    """Whether an absolute path is another project's; it looks then as if it were not there."""
    reach: Reach | None = None
    """Where paths inside of a data set may lead; None for its own folder alone."""


def places_of(project: str, data_root: Path, home: Path, owner: Callable[[str], str | None]) -> DataPlaces:
    """What a project may name. `home`: has a folder for each run. `owner`: run id → its project."""
    reach = reach_of(project, data_root, home)
    if project != DEFAULT_PROJECT:
        return DataPlaces(data_root / PROJECTS / project, reach=reach)
    others, runs = (data_root / PROJECTS).resolve(), home.resolve()

    def closed(path: Path) -> bool:
        if path.is_relative_to(others):
            return True
        inside = path.relative_to(runs).parts if path.is_relative_to(runs) else ()
        # What is hidden there is the services' own: imports and pictures of all projects.
        return bool(inside) and (inside[0].startswith(".") or owner(inside[0]) not in (None, project))

    return DataPlaces(data_root, closed, reach)


def reach_of(project: str, data_root: Path, home: Path) -> Reach:
    """Where paths inside of a project's data sets may lead. `home`: has a folder for each run."""
    if project != DEFAULT_PROJECT:
        return Reach(root=(data_root / PROJECTS / project).resolve(), home=home.resolve())
    root = data_root.resolve()
    return Reach(root=root, home=home.resolve(), closed=((root / PROJECTS).resolve(),))
