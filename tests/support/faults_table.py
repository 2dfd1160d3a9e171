"""A pytest plugin that writes what the `faults` tests saw into the table of `docs/reliability.md`.

`make faults` loads it. A test says what it brings about and what must follow: `@pytest.mark.faults(FAULT, EXPECTED)`.
The cases of a parametrised test are one row, with the longest of their times. Rows of tests that did not run stay.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: begin, written by make faults -->\n", "<!-- faults: end -->"
HEAD = "| fault | expected | seen | seconds | test |\n|---|---|---|---|---|\n"

PROPERTY = "fault"


@dataclass
class Row:
    """One test with all of its cases."""

    fault: str
    expected: str
    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    again: int = 0
    """Cases that were run once more, since they had failed."""

    def line(self, name: str) -> str:
        held = len(self.seconds) - self.failed
        seen = "as expected" if not self.failed else "otherwise"
        if len(self.seconds) > 1:
            seen += f", {held} of {len(self.seconds)} cases"
        if self.again:
            seen += f" ({self.again} run twice)"
        return f"| {self.fault} | {self.expected} | {seen} | {max(self.seconds):.1f} | `{name}` |"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note what a test brings about among its properties, which its report carries out of the process that runs it."""
    for item in items:
        marker = next((one for one in item.iter_markers("faults") if one.args), None)
        if marker is not None and isinstance(item, pytest.Function):
            item.user_properties.append((PROPERTY, [item.originalname, *marker.args]))


class Table:
    """Collects the outcomes of one session, wherever its tests ran."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self._setups: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        texts = next((value for name, value in report.user_properties if name == PROPERTY), None)
        counts = report.when == "call" or (report.when == "setup" and report.failed)
        if report.when == "setup":
            # Some tests bring their fault about in a fixture, which several share: the first one's time counts.
            self._setups[report.nodeid] = report.duration
        if isinstance(texts, list) and counts and not report.skipped:
            name, fault, expected = texts
            row = self._rows.setdefault(name, Row(fault, expected))
            if report.outcome == "rerun":
                row.again += 1
                return
            row.seconds.append(report.duration + (self._setups[report.nodeid] if report.when == "call" else 0.0))
            row.failed += report.failed

    def pytest_sessionfinish(self) -> None:
        if self._rows:
            text = PAGE.read_text(encoding="utf-8")
            new = {name: row.line(name) for name, row in self._rows.items()}
            PAGE.write_text(merged(text, new), encoding="utf-8")


def merged(page: str, new: dict[str, str]) -> str:
    """The page with these rows in the place of those of the same tests; new ones come last. Raises ValueError."""
    before, begin, rest = page.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no place for the table of faults")
    rows = dict(_rows(old)) | new
    return before + begin + HEAD + "".join(f"{line}\n" for line in rows.values()) + end + after


def _rows(table: str) -> Iterator[tuple[str, str]]:
    for line in table.splitlines():
        if found := re.search(r"`(test_\w+)` \|$", line):
            yield found[1], line


def pytest_configure(config: pytest.Config) -> None:
    """Called since the plugin is loaded by name; processes that only run their share of the tests write nothing."""
    if hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(Table(), "faults-table-rows")
