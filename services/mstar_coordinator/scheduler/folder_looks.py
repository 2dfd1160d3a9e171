"""Remembers, for one request, what was read of model folders: each is read once, within one time limit.

The arms of a study name few folders and are admitted one by one; a tokenizer alone may have 64 MB of JSON.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from mstar.errors import InvalidInput
from mstar_coordinator.scheduler.ports import Clock

P = ParamSpec("P")
T = TypeVar("T")


class FolderLooks:
    """For one request, in one thread."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        """`seconds`: after which no other folder is begun; the first one is always looked at."""
        self._clock, self._seconds, self._until = clock, seconds, clock() + seconds
        self._found: dict[tuple[Any, ...], Any] = {}
        self._folders: set[Path] = set()

    def once(self, look: Callable[Concatenate[Path, P], T], folder: Path, *args: P.args, **kwargs: P.kwargs) -> T:
        """What `look` says of the folder, with arguments that hash. Raises what it raises, and InvalidInput in the end.

        An error is not kept: it ends the request.
        """
        key = look, folder, args, tuple(sorted(kwargs.items()))
        if key not in self._found:
            self._begin(folder)
            self._found[key] = look(folder, *args, **kwargs)
        found: T = self._found[key]
        return found

    def _begin(self, folder: Path) -> None:
        if self._folders and folder not in self._folders and self._clock() > self._until:
            raise InvalidInput(
                f"model.base {folder.name[:64]!r} was not reached: the model folders before it took {self._seconds:g} "
                "s to read; ask for fewer models at once",
                field="model.base",
            )
        self._folders.add(folder)
