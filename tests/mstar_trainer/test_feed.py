"""Shards come in the order of the claim, whatever the order in which they arrive."""

from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mstar.api.steps import Claim, StepInput
from mstar.errors import InvalidDataset, InvalidInput
from mstar_trainer.feed import Feed
from trainer_bench import Bench

NAMES = tuple(f"it01/select/{number:04d}" for number in range(4))


def waiting(bench: Bench, there: int) -> tuple[Claim, dict[str, StepInput]]:
    """A claim that has the first shards only, and the inputs that are still to come. Shard n has n + 1 rows."""
    for number, name in enumerate(NAMES):
        if name not in bench.inputs:
            bench.put_rows(name, bench.selected(number + 1, seed=number))
    claim = bench.claim("it01/train", NAMES)
    later = {name: claim.inputs[name] for name in NAMES[there:]}
    rest = {name: given for name, given in claim.inputs.items() if name not in later}
    return claim.model_copy(update={"inputs": rest}), later


def never() -> Mapping[str, StepInput]:
    raise AssertionError("nothing is to come")


@given(order=st.permutations(range(1, 4)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=6, deadline=None)
def test_the_order_of_arrival_changes_nothing(bench: Bench, order: list[int]) -> None:
    whole = list(Feed(bench.store, waiting(bench, 4)[0], never))
    claim, later = waiting(bench, 1)
    coming = [{NAMES[number]: later[NAMES[number]]} for number in order]
    feed = Feed(bench.store, claim, lambda: coming.pop(0))
    assert list(feed) == whole
    assert feed.rows == 10 == feed.expected_rows()


def test_nothing_is_awaited_before_it_is_needed(bench: Bench) -> None:
    claim, _ = waiting(bench, 2)
    feed = Feed(bench.store, claim, never)
    shards = iter(feed)
    assert [len(next(shards)), len(next(shards))] == [1, 2]
    assert (feed.rows, feed.expected_rows()) == (3, 6)
    with pytest.raises(AssertionError, match="to come"):
        next(shards)


def test_shards_without_rows_are_an_error_when_all_are(bench: Bench) -> None:
    for name in NAMES:
        bench.put_rows(name, [])
    with pytest.raises(InvalidDataset, match="no response was kept"):
        list(Feed(bench.store, bench.claim("it01/train", NAMES), never))


def test_an_input_that_nobody_promised_is_not_awaited(bench: Bench) -> None:
    claim, _ = waiting(bench, 0)
    with pytest.raises(InvalidInput, match="needs the artefact of it01/select/0000"):
        list(Feed(bench.store, claim, never))
