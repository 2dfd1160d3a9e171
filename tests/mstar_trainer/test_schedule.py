"""The rate rises once in a run and stays."""

from hypothesis import given
from hypothesis import strategies as st

from mstar.recipes import TrainRecipe
from mstar_trainer.schedule import learning_rate


@given(st.integers(0, 50), st.integers(0, 100))
def test_the_rate_rises_to_the_recipe_and_stays(warmup_steps: int, step: int) -> None:
    settings = TrainRecipe(learning_rate=1e-3, warmup_steps=warmup_steps)
    assert 0 < learning_rate(settings, step) <= learning_rate(settings, step + 1) <= 1e-3
    assert learning_rate(settings, warmup_steps) == 1e-3


def test_an_iteration_that_goes_on_does_not_warm_up_again() -> None:
    settings = TrainRecipe(learning_rate=1e-3, warmup_steps=4)
    assert [learning_rate(settings, step) for step in (0, 3, 4, 40)] == [2e-4, 8e-4, 1e-3, 1e-3]
