"""Every row is trained once an epoch, in an order that only the seed decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.errors import InvalidDataset
from mstar.recipes import TrainRecipe
from mstar.types import Answer, AnswerType, StepLabelRow
from mstar_trainer.batches import OptimizerStep, count_steps, plan, prm_examples

SIZES = st.lists(st.integers(1, 500), min_size=1, max_size=90)
SETTINGS = st.builds(
    TrainRecipe,
    batch_size=st.integers(1, 40),
    micro_batch=st.integers(1, 12),
    epochs=st.integers(1, 3),
    ranks=st.integers(1, 4),
)


def rows_of(step: OptimizerStep) -> list[int]:
    return [place for share in step.shares for micro in share for place in micro]


@given(SIZES, SETTINGS, st.integers(0, 2**40))
def test_every_row_is_trained_once_an_epoch(sizes: list[int], settings: TrainRecipe, seed: int) -> None:
    steps = list(plan(sizes, settings, seed))
    assert len(steps) == count_steps(len(sizes), settings)
    seen = [place for step in steps for place in rows_of(step)]
    assert sorted(seen) == sorted(list(range(len(sizes))) * settings.epochs)
    assert sorted(seen[: len(sizes)]) == list(range(len(sizes)))


@given(SIZES, SETTINGS)
def test_micro_batches_fit_and_ranks_keep_step(sizes: list[int], settings: TrainRecipe) -> None:
    for step in plan(sizes, settings, seed=1):
        assert len(step.shares) == settings.ranks
        assert len({len(share) for share in step.shares}) == 1
        assert all(len(micro) <= settings.micro_batch for share in step.shares for micro in share)
        assert any(micro for share in step.shares for micro in share[-1:])


@given(SIZES, SETTINGS)
def test_ranks_change_who_trains_a_row_but_not_when(sizes: list[int], settings: TrainRecipe) -> None:
    alone = plan(sizes, settings.model_copy(update={"ranks": 1}), seed=5)
    for one, many in zip(alone, plan(sizes, settings, seed=5), strict=True):
        assert sorted(rows_of(one)) == sorted(rows_of(many))


def test_the_seed_decides_the_order() -> None:
    sizes, settings = [1] * 50, TrainRecipe(batch_size=10)
    assert list(plan(sizes, settings, 3)) == list(plan(sizes, settings, 3))
    assert list(plan(sizes, settings, 3)) != list(plan(sizes, settings, 4))


def test_rows_of_like_length_share_a_micro_batch() -> None:
    (step,) = plan([5, 500, 6, 501], TrainRecipe(batch_size=4, micro_batch=2), seed=0)
    assert step.shares == (((0, 2), (1, 3)),)


def test_a_missing_label_is_refused() -> None:
    row = StepLabelRow(
        id="q-1/0",
        prompt="How many?",
        completions=("One.", "Two."),
        labels=(1.0,),
        image="0" * 64,
        answer=Answer(type=AnswerType.INTEGER, value="2"),
        mc_successes=(4,),
        mc_rollouts=(4,),
        weight_version="w",
    )
    with pytest.raises(InvalidDataset, match="q-1/0 has 2 completions and 1 labels"):
        prm_examples([row])
