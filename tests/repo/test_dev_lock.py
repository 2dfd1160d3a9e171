"""The lock for development has one version of whatever the groups ask for, within their bounds, and not torch."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
INSTALLED_BEFORE = {"torch", "deepspeed"}
"""By `make install`, each in a step of its own."""


def asked(group: str) -> list[Requirement]:
    """What a group names, with the groups that it includes."""
    found = []
    for entry in PROJECT["dependency-groups"][group]:
        found += [Requirement(entry)] if isinstance(entry, str) else asked(entry["include-group"])
    return found


def locked() -> dict[str, str]:
    """Package → version on this machine."""
    found = {}
    for line in (ROOT / "requirements-dev.lock").read_text().splitlines():
        one = Requirement(line)
        if one.marker is None or one.marker.evaluate(dict(default_environment())):
            (version,) = re.findall(r"^==(\S+)$", str(one.specifier))
            found[canonicalize_name(one.name)] = version
    return found


@pytest.mark.parametrize("group", ["dev", "vllm-cpu"])
def test_the_lock_fits_the_group(group: str) -> None:
    versions = locked()
    wanted = [*asked(group), *(Requirement(text) for text in PROJECT["project"]["dependencies"])]
    unfit = []
    for one in wanted:
        version = versions.get(canonicalize_name(one.name))
        if one.name not in INSTALLED_BEFORE and (version is None or version not in one.specifier):
            unfit.append(f"{one}: {version}")
    assert unfit == [], "run docker/lock.sh"


def test_torch_and_what_it_brings_come_from_the_index_that_one_names() -> None:
    assert [name for name in locked() if re.match("torch$|triton$|nvidia-|cuda-", name)] == []
