"""Results in order, from several threads."""

import time
from collections.abc import Iterator
from threading import Barrier, Event

import pytest

from mstar.client.ahead import ahead
from mstar.concurrency import Concurrency


class Wide(Concurrency):
    """So many from the start."""

    def __init__(self, now: int) -> None:
        super().__init__()
        self.now = now

    def answered(self, at: float) -> None:
        pass


def test_results_keep_the_order_of_their_items() -> None:
    def work(item: int) -> int:
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * 2

    assert list(ahead(range(40), work, Wide(8))) == [item * 2 for item in range(40)]
    assert list(ahead([], work, Wide(8))) == []


def test_as_many_are_under_way_as_wanted_and_no_more_are_begun_than_may_wait() -> None:
    together, begun = Barrier(3, timeout=20), []

    def items() -> Iterator[int]:
        for item in range(6):
            begun.append(item)
            yield item

    results = ahead(items(), lambda item: together.wait(), Wide(3))
    next(results)
    assert len(begun) <= 6
    list(results)


def test_an_error_comes_in_its_items_place_and_ends_the_work() -> None:
    released = Event()
    done: list[int] = []

    def work(item: int) -> int:
        if item == 2:
            raise ValueError("bad")
        if item == 1:
            released.wait(20)
        done.append(item)
        return item

    results = ahead(range(1000), work, Wide(4))
    assert next(results) == 0
    released.set()
    assert next(results) == 1
    with pytest.raises(ValueError, match="bad"):
        next(results)
    assert len(done) < 40


def test_it_widens_where_answers_come_faster_together() -> None:
    concurrency = Concurrency()
    list(ahead(range(30), lambda item: time.sleep(0.03), concurrency))
    assert concurrency.now >= 4
