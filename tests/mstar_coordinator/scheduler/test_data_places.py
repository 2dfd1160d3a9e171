"""Which folders the recipes of a project may name."""

from pathlib import Path

import pytest

from mstar_coordinator.scheduler.data_places import places_of

OWNERS = {"r-blue": "blue", "r-own": "default"}


@pytest.mark.parametrize(
    ("path", "closed"),
    [
        ("cats", False),
        ("projects/blue/cats", True),
        ("projects", True),
        ("projectsx", False),
        ("runs/r-blue/policy", True),
        ("runs/r-own/policy", False),
        ("runs/latest/policy", False),
        ("runs/.mstar/imports/0123", True),
    ],
)
def test_the_default_project_sees_everything_but_what_is_others(tmp_path: Path, path: str, closed: bool) -> None:
    places = places_of("default", tmp_path, tmp_path / "runs", OWNERS.get)
    assert places.root == tmp_path
    assert places.closed((tmp_path / path).resolve()) is closed


def test_another_project_has_a_folder_of_its_own(tmp_path: Path) -> None:
    places = places_of("blue", tmp_path, tmp_path / "runs", OWNERS.get)
    assert places.root == tmp_path / "projects" / "blue"
