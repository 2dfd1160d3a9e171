"""The rate follows the whole run: it rises once, and carried over it goes on where an iteration stopped."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstar.evolution import graph
from mstar.recipes import Recipe, parse_recipe
from mstar.stages.train import TRAIN
from mstar.train_recipe import Schedule, TrainRecipe
from mstar_trainer.schedule import learning_rate
from mstar_trainer.state import TrainerState
from mstar_trainer.training_loop import schedule_place
from trainer_bench import RESULT


@given(st.integers(0, 50), st.integers(0, 100))
def test_the_rate_rises_to_the_recipe_and_stays(warmup_steps: int, step: int) -> None:
    settings = TrainRecipe(learning_rate=1e-3, warmup_steps=warmup_steps)
    assert 0 < learning_rate(settings, step) <= learning_rate(settings, step + 1) <= 1e-3
    assert learning_rate(settings, warmup_steps) == 1e-3


def test_an_iteration_that_goes_on_does_not_warm_up_again() -> None:
    settings = TrainRecipe(learning_rate=1e-3, warmup_steps=4)
    assert [learning_rate(settings, step) for step in (0, 3, 4, 40)] == [2e-4, 8e-4, 1e-3, 1e-3]


@given(
    st.sampled_from([Schedule.COSINE, Schedule.WSD]),
    st.integers(0, 20),
    st.integers(21, 300),
    st.floats(0, 1),
    st.floats(0.01, 1),
)
def test_a_rate_that_falls_does_so_once_and_ends_above_its_last_value(
    schedule: Schedule, warmup_steps: int, horizon: int, final: float, decay: float
) -> None:
    settings = TrainRecipe(
        learning_rate=1e-3, schedule=schedule, warmup_steps=warmup_steps, final_rate=final, decay_share=decay
    )
    rates = [learning_rate(settings, update, horizon) for update in range(horizon + 5)]
    assert max(rates) == pytest.approx(1e-3)
    after = rates[warmup_steps:]
    assert all(later <= earlier + 1e-15 for earlier, later in pairwise(after))
    assert min(after) > 0 and min(after) >= final * 1e-3 * (1 - 1e-9)
    assert set(rates[horizon:]) == {rates[horizon - 1]}, "an iteration that was added keeps the last rate"


def test_cosine_and_wsd_at_known_places() -> None:
    cosine = TrainRecipe(learning_rate=1.0, schedule=Schedule.COSINE, final_rate=0.1)
    assert [learning_rate(cosine, update, 100) for update in (0, 50)] == pytest.approx([1.0, 0.55])
    wsd = TrainRecipe(learning_rate=1.0, schedule=Schedule.WSD, decay_share=0.2)
    assert [learning_rate(wsd, update, 100) for update in (79, 80, 90, 99)] == pytest.approx([1.0, 1.0, 0.5, 0.05])


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_a_carried_schedule_goes_on_and_a_restarted_one_does_not(schedule: str) -> None:
    values = {"iterations": 4, "updates": 40, "train": {"schedule": schedule, "warmup_steps": 3, "learning_rate": 1e-3}}
    carried, restarted = rates_of({**values, "optimizer": "carried"}), rates_of({**values, "optimizer": "fresh"})
    assert [len(rates) for rates in carried] == [len(rates) for rates in restarted] == [10] * 4
    assert restarted[0] == restarted[1] == restarted[3], "every iteration rises and falls"
    whole = [rate for rates in carried for rate in rates]
    assert whole[3:] == sorted(whole[3:], reverse=True), "one rise and one fall over the whole run"
    assert carried[1] != restarted[1]
    assert carried[3][-1] == pytest.approx(min(whole[3:]))


def rates_of(evolution: dict[str, object]) -> list[list[float]]:
    """Learning rates of each iteration, as the trainer reckons them from the steps of the graph."""
    recipe: Recipe = parse_recipe({"name": "x", "evolution": evolution})
    found, before = [], None
    for step in graph(recipe, recipe.evolution.iterations):
        if not (step.name.startswith("it") and step.name.endswith("/train")):
            continue
        params = TRAIN.narrow(step.params)
        begin = schedule_place(before if params.carry_optimizer else None, params)
        updates = params.settings.updates
        assert updates is not None
        found.append([learning_rate(params.settings, begin + n, params.horizon) for n in range(updates)])
        before = TrainerState(
            objective="sft",
            step=step.name,
            parent="w",
            global_step=7 + begin + updates,
            schedule_step=begin + updates,
            examples_seen=0,
            result=RESULT,
        )
    return found
