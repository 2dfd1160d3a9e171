"""Marks as `quick` what needs no service, no vLLM and no PostgreSQL: `make check` runs these, `make test` all."""

from pathlib import Path

import pytest

_WITH_SERVICES = {"charts", "docs", "repo", "system"}
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test that can run within a minute on a busy laptop the mark."""
    for item in items:
        folder = item.path.relative_to(_HERE).parts[0]
        heavy = any(item.get_closest_marker(name) for name in ("slow", "system", "vllm", "faults"))
        if folder not in _WITH_SERVICES and not heavy and "postgresql" not in item.name:
            item.add_marker("quick")
