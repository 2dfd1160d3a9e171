"""Every row is trained once a pass, questions stay together, and only the seed decides the order."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.errors import InvalidDataset
from mstar.train_recipe import TrainRecipe
from mstar.types import Answer, AnswerType, StepLabelRow
from mstar_trainer.batches import Example, Group, count_steps, count_visits, deal, grouped, plan, prm_examples

SHARDS = st.lists(st.lists(st.integers(1, 7), max_size=12), min_size=1, max_size=5)
"""For each shard, how many rows each of its questions has."""
SETTINGS = st.builds(TrainRecipe, batch_size=st.integers(1, 20), epochs=st.integers(1, 3))


def made(shards: list[list[int]]) -> list[list[Example]]:
    return [
        [
            Example(f"question {place}.{number}", "0" * 64, (f"row {row}",))
            for number, rows in enumerate(shard)
            for row in range(rows)
        ]
        for place, shard in enumerate(shards)
    ]


def rows_of(step: list[Group]) -> list[Example]:
    return [example for group in step for example in group]


@given(SHARDS, SETTINGS, st.integers(0, 2**40))
def test_every_row_is_trained_once_a_pass(shards: list[list[int]], settings: TrainRecipe, seed: int) -> None:
    examples = [example for shard in made(shards) for example in shard]
    steps = [rows_of(step) for step in plan(made(shards), settings, seed)]
    assert len(steps) == count_steps(len(examples), settings)
    each = len(steps) // settings.epochs
    for epoch in range(settings.epochs):
        own = steps[epoch * each : (epoch + 1) * each]
        assert Counter(example for step in own for example in step) == Counter(examples)
        assert all(len(step) == settings.batch_size for step in own[:-1])


@given(SHARDS, SETTINGS, st.integers(0, 2**40))
def test_a_question_is_cut_only_where_a_step_ends(shards: list[list[int]], settings: TrainRecipe, seed: int) -> None:
    whole = {group[0].prompt: len(group) for shard in made(shards) for group in grouped(shard)}
    for step in plan(made(shards), settings, seed):
        assert len({group[0].prompt for group in step}) == len(step)
        assert all(len(group) == whole[group[0].prompt] for group in step[1:-1])


@given(SHARDS, SETTINGS)
def test_no_shard_is_asked_for_before_it_is_needed(shards: list[list[int]], settings: TrainRecipe) -> None:
    asked: list[int] = []

    class Arriving:
        def __len__(self) -> int:
            return len(shards)

        def __iter__(self) -> Iterator[list[Example]]:
            for number, shard in enumerate(made(shards)):
                asked.append(number)
                yield shard

    known = 0
    for step in plan(Arriving(), settings.model_copy(update={"epochs": 1}), 3):
        known += len(rows_of(step))
        assert sum(sum(shards[number]) for number in asked[:-1]) <= known


def test_the_first_pass_takes_the_shards_in_their_order_and_later_ones_mix_them() -> None:
    shards = [[1] * 20, [1] * 20]
    steps = list(plan(made(shards), TrainRecipe(batch_size=20, epochs=2), 0))
    first = [{example.prompt.split(".")[0] for example in rows_of(step)} for step in steps]
    assert first[:2] == [{"question 0"}, {"question 1"}]
    assert first[2] == {"question 0", "question 1"}


@given(SHARDS, st.integers(1, 12), st.integers(1, 9), st.integers(0, 2**40))
def test_a_budget_of_updates_is_kept_and_no_row_comes_twice_before_all_came_once(
    shards: list[list[int]], updates: int, size: int, seed: int
) -> None:
    settings = TrainRecipe(batch_size=size, updates=updates)
    rows = Counter(example for shard in made(shards) for example in shard)
    steps = [rows_of(step) for step in plan(made(shards), settings, seed)]
    if not rows:
        assert steps == []
        return
    assert [len(step) for step in steps] == [size] * updates
    assert count_steps(rows.total(), settings) == updates
    assert count_visits(rows.total(), settings) == updates * size
    visits = Counter(example for step in steps for example in step)
    distinct = [visits[example] / rows[example] for example in rows]
    assert max(distinct) - min(distinct) <= 1
    assert steps == [rows_of(step) for step in plan(made(shards), settings, seed)]


def test_a_small_budget_takes_from_every_shard_and_awaits_the_last() -> None:
    shards, settings = made([[1] * 40] * 4), TrainRecipe(batch_size=8, updates=2)
    (first, second) = (rows_of(step) for step in plan(shards, settings, 0))
    taken = Counter(example.prompt.split(".")[0] for example in first + second)
    assert taken == {f"question {shard}": 4 for shard in range(4)}
    others = {example for step in plan(shards, settings, 1) for example in rows_of(step)}
    assert others != {*first, *second}, "another seed cuts other rows"


def test_the_seed_decides_the_order() -> None:
    shards, settings = made([[1] * 50]), TrainRecipe(batch_size=10)
    assert list(plan(shards, settings, 3)) == list(plan(shards, settings, 3))
    assert list(plan(shards, settings, 3)) != list(plan(shards, settings, 4))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 5))
def test_ranks_get_every_group_once_and_about_equally_much(sizes: list[int], ranks: int) -> None:
    groups = grouped(made([sizes])[0])
    shares = deal(groups, ranks)
    assert len(shares) == ranks
    assert Counter(group for share in shares for group in share) == Counter(groups)
    load = [sum(map(length, share)) for share in shares]
    assert max(load) - min(load) <= max(map(length, groups))


def length(group: Group) -> int:
    return len(group[0].prompt) + sum(len(segment) for example in group for segment in example.segments)


def test_a_missing_label_is_refused() -> None:
    row = StepLabelRow(
        id="q-1/0",
        prompt="How many?",
        completions=("One.", "Two."),
        labels=(1.0,),
        images=("0" * 64,),
        answer=Answer(type=AnswerType.INTEGER, value="2"),
        mc_successes=(4,),
        mc_rollouts=(4,),
        weight_version="w",
    )
    with pytest.raises(InvalidDataset, match="q-1/0 has 2 completions and 1 labels"):
        prm_examples([row])
