"""The arms of one study ask about few model folders: each answer is looked up once, within the request's time."""

import shutil
from pathlib import Path

import pytest

import minivista
from coordinator_bench import SMALL, HandClock
from mstar.errors import InvalidInput
from mstar_coordinator.scheduler.admission import Trainers, admit
from mstar_coordinator.scheduler.data_places import DataPlaces
from mstar_coordinator.scheduler.folder_looks import FolderLooks


class CountedLooks(FolderLooks):
    """Notes what is really read."""

    def __init__(self) -> None:
        super().__init__(HandClock(), 10)
        self.read: list[str] = []

    def _begin(self, folder: Path) -> None:
        super()._begin(folder)
        self.read.append(folder.name)


def test_a_folder_that_many_arms_name_is_read_once(tmp_path: Path) -> None:
    for name in ("policy", "prm"):
        shutil.copytree(minivista.MODEL_FOLDER, tmp_path / name)
    base = SMALL.model_copy(update={"model": SMALL.model.model_copy(update={"base": "policy"})})
    assert base.prm is not None
    arm = base.model_copy(update={"prm": base.prm.model_copy(update={"base": "prm"})})
    looks = CountedLooks()
    first = admit(arm, DataPlaces(tmp_path), tmp_path / "home", 0, Trainers(), allowed={"llama4"}, looks=looks)
    once = list(looks.read)
    assert once.count("prm") == 1 and once.count("policy") > 1, "one question about the PRM, several about the base"
    for _ in range(3):
        again = admit(arm, DataPlaces(tmp_path), tmp_path / "home", 0, Trainers(), allowed={"llama4"}, looks=looks)
        assert again == first
    assert looks.read == once


def test_no_other_folder_is_begun_when_the_time_is_over(tmp_path: Path) -> None:
    clock = HandClock()
    looks = FolderLooks(clock, 10)
    clock.pass_(60)
    # One model is read however long the request has waited: a run names no more than two.
    assert looks.once(Path.exists, tmp_path) is True
    assert looks.once(Path.is_dir, tmp_path) is True
    with pytest.raises(InvalidInput, match=r"model.base 'other' was not reached.* 10 s .*fewer models at once"):
        looks.once(Path.exists, tmp_path / "other")
