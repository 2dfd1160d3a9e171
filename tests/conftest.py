"""Marks as `quick` what needs no service, no vLLM and no PostgreSQL, and keeps tests from leaving anything behind.

`make check` runs the quick tests, `make test` all. Temporary files of the tests and of every process that they start
lie in one folder, which goes with the last test; logging is set back after each test.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

_WITH_SERVICES = {"charts", "docs", "repo", "system"}
_HERE = Path(__file__).parent
_OWN_FOLDER = pytest.StashKey[Path]()
_OURS = "MSTAR_TESTS_TMPDIR"
"""Set for the processes among which tests are shared out: they use the first one's folder."""


def pytest_configure(config: pytest.Config) -> None:
    """Have everything temporary in one folder. Its name is short: sockets lie below, whose paths are bounded."""
    if _OURS in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    # PostgreSQL refuses to run as root, and finds its own folder in here as another user.
    folder.chmod(0o711)
    config.stash[_OWN_FOLDER] = folder
    os.environ[_OURS] = os.environ["TMPDIR"] = str(folder)
    # What was found before holds for the whole process else.
    tempfile.tempdir = None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder."""
    folder = config.stash.get(_OWN_FOLDER, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Take back what `configure_logs` does to this process: its handler writes to a stream that ends with the test."""
    root, configuration = logging.getLogger(), structlog.get_config()
    level, before = root.level, root.handlers[:]
    yield
    for handler in root.handlers[:]:
        # pytest's own come and go with each phase of a test.
        if handler not in before and not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)
    root.setLevel(level)
    structlog.configure(**configuration)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test that can run within a minute on a busy laptop the mark."""
    for item in items:
        folder = item.path.relative_to(_HERE).parts[0]
        heavy = any(item.get_closest_marker(name) for name in ("slow", "system", "vllm", "faults"))
        if folder not in _WITH_SERVICES and not heavy and "postgresql" not in item.name:
            item.add_marker("quick")
