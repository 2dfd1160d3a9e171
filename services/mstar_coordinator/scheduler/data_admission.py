"""Looks at a run's data set before the run is started, for as long as a request may take.

What is not looked at by then is left to the run's first step, which looks at everything before anything else is done.
Pictures are remembered by content, so a set that was checked once, by whatever run, is checked again in little time.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from mstar.reach import Reach
from mstar.recipes import Recipe
from mstar_coordinator.dataset_check import DatasetCheck, own_splits
from mstar_coordinator.dataset_source import Opened, open_source
from mstar_coordinator.image_takers import takers_of
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

    def check(self, *recipes: Recipe, reach: Reach | None = None) -> str:
        """What was looked at, in a sentence for each data set; empty for the benchmark that ships.

        `recipes`: as they were admitted, with absolute paths. Those that ask the same of a set have it looked at once.
        `reach`: where paths inside of a set may lead.
        Raises InvalidDataset for what was found in the time.
        """
        # Set before the wait for the turn: a request takes this many seconds in all, however many sets it names.
        until = self.clock() + self.seconds
        different = {_question(one): one for one in recipes if not one.data.source.startswith("builtin:")}
        return "; ".join(dict.fromkeys(self._checked(one, until, reach) for one in different.values()))

    def _checked(self, recipe: Recipe, until: float, reach: Reach | None) -> str:
        if not self._turn.acquire(blocking=False) and not self._turn.acquire(timeout=max(0.0, until - self.clock())):
            return "its records are checked by the step prepare, since another data set is being looked at"
        try:
            with self.looks() as looks:
                opened = self._opened(recipe, looks, until, reach)
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

    def _opened(self, recipe: Recipe, looks: Looks, until: float, reach: Reach | None) -> Opened | int:
        """The folder of the records; how many of them were imported where the time ended before."""
        done = 0

        def tick(records: int) -> None:
            nonlocal done
            done = records

        def turn() -> None:
            if self.clock() > until:
                raise Unfinished

        try:
            return open_source(recipe, own_splits(recipe), self.home, looks, turn, tick, reach)
        except Unfinished:
            return done


def _question(recipe: Recipe) -> tuple[object, ...]:
    """All that a check of the data depends on: the set and how it is read, its splits, and what the models take."""
    return recipe.data.model_dump_json(), tuple(recipe.splits.items()), tuple(recipe.tests), takers_of(recipe)
