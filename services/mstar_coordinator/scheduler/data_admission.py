"""Looks at a run's data set before the run is started, for as long as a request may take.

What is not looked at by then is left to the run's first step, which looks at everything before anything else is done.
Pictures are remembered by content, so a set that was checked once, by whatever run, is checked again in little time.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from mstar.recipes import Recipe
from mstar_coordinator.dataset_check import DatasetCheck, own_splits
from mstar_coordinator.dataset_source import Opened, open_source
from mstar_coordinator.scheduler.ports import Clock
from mstar_data.importing import Unfinished
from mstar_data.looks import Looks


@dataclass
class DataAdmission:
    """One check at a time, since each keeps several processes busy."""

    looks: Callable[[], AbstractContextManager[Looks]]
    clock: Clock
    seconds: float
    home: Path
    """Folder below which a source is imported."""
    _turn: Lock = field(default_factory=Lock)

    def check(self, recipe: Recipe) -> str:
        """What was looked at, in a sentence; empty for the benchmark that ships.

        `recipe`: as it was admitted, with an absolute path. Raises InvalidDataset for what was found in the time.
        """
        # Set before the wait for the turn: a request takes so many seconds in all.
        until = self.clock() + self.seconds
        if recipe.data.source.startswith("builtin:"):
            return ""
        if not self._turn.acquire(timeout=self.seconds):
            return "its records are checked by the step prepare, since another data set is being looked at"
        try:
            with self.looks() as looks:
                opened = self._opened(recipe, looks, until)
                if isinstance(opened, int):
                    return f"{opened} records were imported in {self.seconds:g} s; the step prepare imports the rest"
                check = DatasetCheck.of(recipe, looks, enough=lambda: self.clock() > until, opened=opened)
                for _ in check.rows():
                    pass
        finally:
            self._turn.release()
        if check.whole:
            return f"all {check.looked} records were checked"
        return f"{check.looked} records were checked in {self.seconds:g} s; the step prepare checks all of them"

    def _opened(self, recipe: Recipe, looks: Looks, until: float) -> Opened | int:
        """The folder of the records; how many of them were imported where the time ended before."""
        done = 0

        def tick(records: int) -> None:
            nonlocal done
            done = records

        def turn() -> None:
            if self.clock() > until:
                raise Unfinished

        try:
            return open_source(recipe, own_splits(recipe), self.home, looks, turn, tick)
        except Unfinished:
            return done
