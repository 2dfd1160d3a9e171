"""Each dependency is asked by itself: one that hangs is named in time and hides no other."""

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from coordinator_bench import Bench
from mstar.errors import Unavailable
from mstar_coordinator.scheduler.dependencies import Dependencies


def wait_for(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_one_that_hangs_is_named_beside_one_that_refuses() -> None:
    released = threading.Event()

    def hang() -> None:
        released.wait(30)

    def refuse() -> None:
        raise Unavailable("the cluster says no")

    watched = Dependencies({"the broker": hang, "the cluster": refuse, "the disk": lambda: None}, 0.05, 0.02)
    assert watched.problems == []
    watched.start()
    wait_for(lambda: len(watched.problems) == 2)
    first, second = watched.problems
    assert first.startswith("the broker has not answered for") and second == "the cluster says no"
    released.set()
    wait_for(lambda: watched.problems == ["the cluster says no"])
    watched.stop()


def test_an_unexpected_error_is_told_without_its_text() -> None:
    def fail() -> None:
        raise ValueError("secret")

    watched = Dependencies({"the broker": fail}, 1, 0.02)
    watched.start()
    wait_for(lambda: watched.problems == ["the broker: unexpected ValueError; see the log"])
    watched.stop()


def test_a_database_that_another_holds_locked_is_named_within_seconds(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    other = sqlite3.connect(tmp_path / ".mstar" / "mstar.sqlite", isolation_level=None)
    watched = Dependencies({"the database": bench.store.check}, 0.2, 0.02)
    watched.start()
    try:
        time.sleep(0.1)
        assert watched.problems == []
        other.execute("BEGIN IMMEDIATE")
        wait_for(lambda: any("the database has not answered" in one for one in watched.problems))
        other.execute("ROLLBACK")
        wait_for(lambda: watched.problems == [])
    finally:
        other.close()
        watched.stop()
        bench.store.close()
