"""The rule for licences, and what locks name. `make audit` asks about the packages themselves."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "docker" / "audit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "licence",
    [
        *("MIT", "BSD License", "Apache-2.0 AND BSD-2-Clause", "LGPL-3.0-only", "MPL-2.0", "PSF-2.0"),
        "GNU Library or Lesser General Public License (LGPL)",
        "GPL-3.0 OR MIT",
        "MIT License\n\nPermission is hereby granted",
    ],
)
def test_what_may_be_shipped(audit: ModuleType, licence: str) -> None:
    assert audit.refused_licences({"x": licence}) == {}


@pytest.mark.parametrize(
    "licence",
    [
        *("GPL-3.0", "AGPL-3.0-only", "UNKNOWN", "", "Other/Proprietary License", "MIT AND GPL-2.0-only"),
        "GNU General Public License v3 (GPLv3)",
        "GNU Affero General Public License v3",
    ],
)
def test_what_may_not_unless_there_is_a_reason(audit: ModuleType, licence: str) -> None:
    assert list(audit.refused_licences({"x": licence})) == ["x"]
    assert audit.refused_licences({"x": licence}, {"x": "only used to build"}) == {}


def test_locks_are_read_whole(audit: ModuleType) -> None:
    for service in audit.SERVICES:
        found = audit.names_of(audit.LOCKS / f"{service}.txt")
        lines = (audit.LOCKS / f"{service}.txt").read_text().splitlines()
        # A package that differs with Python's version has a line for each.
        assert len(found) > 20 and len(found) == len({line.split("==")[0] for line in lines if "==" in line}), service
    assert sys.prefix in str(audit.TOOLS)
