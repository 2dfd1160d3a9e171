"""Recipes: the shipped ones, refusals that name the field, overrides."""

from pathlib import Path
from typing import Any

import pytest

from mstar.errors import InvalidRecipe
from mstar.recipes import (
    PAPER_GRID,
    ExplorationMode,
    InitFrom,
    OptimizerState,
    Recipe,
    SelectionMode,
    parse_recipe,
    parse_recipe_yaml,
)

FOLDER = Path(__file__).parents[2] / "recipes"
SHIPPED = sorted(FOLDER.rglob("*.yaml"))
LAST, FIRST, CARRIED, FRESH = InitFrom.LAST, InitFrom.FIRST, OptimizerState.CARRIED, OptimizerState.FRESH
FIXED, TUNED = ExplorationMode.FIXED, ExplorationMode.REWARD_PASS
ARMS = {
    "arms/rest-em": (FIRST, FRESH, SelectionMode.ALL, FIXED),
    "arms/iterative-rft": (LAST, FRESH, SelectionMode.ALL, FIXED),
    "arms/continuous": (LAST, CARRIED, SelectionMode.ALL, FIXED),
    "arms/random-2": (LAST, CARRIED, SelectionMode.RANDOM, FIXED),
    "arms/threshold": (LAST, CARRIED, SelectionMode.THRESHOLD, FIXED),
    "arms/top-1": (LAST, CARRIED, SelectionMode.TOP, FIXED),
    "arms/top-4": (LAST, CARRIED, SelectionMode.TOP, FIXED),
    "arms/pass-at-k": (LAST, CARRIED, SelectionMode.TOP, ExplorationMode.PASS),
    "arms/oracle": (LAST, CARRIED, SelectionMode.ORACLE, FIXED),
    "minivista": (LAST, CARRIED, SelectionMode.TOP, TUNED),
    "demo": (LAST, CARRIED, SelectionMode.TOP, TUNED),
    "paper": (LAST, CARRIED, SelectionMode.TOP, TUNED),
}


def read(name: str) -> Recipe:
    return parse_recipe_yaml((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def test_every_shipped_recipe_is_listed_here() -> None:
    assert {path.relative_to(FOLDER).with_suffix("").as_posix() for path in SHIPPED} == set(ARMS)


@pytest.mark.parametrize("name", sorted(ARMS))
def test_each_arm_is_what_its_name_says(name: str) -> None:
    recipe = read(name)
    plan = recipe.evolution
    assert recipe.name == Path(name).name
    assert (plan.init, plan.optimizer, plan.selection.mode, recipe.exploration.mode) == ARMS[name]


@pytest.mark.parametrize("name", sorted(name for name in ARMS if name.startswith("arms/")))
def test_arms_differ_from_the_standard_run_in_the_arm_only(name: str) -> None:
    arm, standard = read(name), read("minivista")
    shared = ("seed", "data", "model", "generation", "warmup", "evaluation")
    assert [getattr(arm, key) for key in shared] == [getattr(standard, key) for key in shared]
    assert (arm.evolution.n, arm.evolution.train) == (standard.evolution.n, standard.evolution.train)
    seen = arm.evolution.iterations * arm.evolution.questions
    assert seen >= standard.evolution.iterations * standard.evolution.questions


def test_kept_per_question() -> None:
    assert [read(f"arms/{name}").evolution.selection.k for name in ("top-1", "top-4", "random-2")] == [1, 4, 2]


def test_the_paper_s_numbers() -> None:
    recipe = read("paper")
    assert recipe.evolution.questions / recipe.data.train == 0.25
    assert (recipe.evolution.n, recipe.evolution.selection.k) == (16, 2)
    assert (recipe.evolution.train.learning_rate, recipe.evolution.train.batch_size) == (1e-6, 128)
    assert (recipe.exploration.grid, recipe.exploration.questions, recipe.exploration.every) == (PAPER_GRID, 250, 2)


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({}, "name", "required"),
        ({"name": "x", "sede": 1}, "sede", "not permitted"),
        ({"name": "x", "evolution": {"iteration": 3}}, "evolution.iteration", "not permitted"),
        ({"name": "x", "evolution": {"n": 0}}, "evolution.n", "greater than or equal to 1"),
        ({"name": "../x"}, "name", "match pattern"),
        ({"name": "x", "exploration": {"grid": [0.7, 0.3]}}, "exploration.grid", "must rise"),
        ({"name": "x", "exploration": {"grid": []}}, "exploration.grid", "must rise"),
        ({"name": "x", "evaluation": {"n": 4, "k": 8}}, "evaluation", "raise evaluation.n"),
        ({"name": "x", "prm": None}, "recipe", "add a prm section"),
        ({"name": "x", "warmup": {"questions": 9000}}, "recipe", "exceeds data.train"),
        ({"name": "x", "exploration": {"questions": 300}}, "recipe", "exceeds data.validation"),
        ({"name": "x", "seed": {1, 2}}, "recipe", "JSON cannot"),
        ({"name": "x", "evolution": {"temperature": float("nan")}}, "recipe", "JSON cannot"),
    ],
)
def test_refusal_names_field_and_fix(values: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidRecipe, match=words) as caught:
        parse_recipe(values)
    assert caught.value.field == field


def test_a_prm_is_needed_by_the_controller_too() -> None:
    values = {"name": "x", "prm": None, "evolution": {"selection": {"mode": "all"}}}
    with pytest.raises(InvalidRecipe, match="reward_pass needs a prm section"):
        parse_recipe(values)
    assert parse_recipe(values, {"exploration.mode": "pass"}).prm is None


def test_overrides_lie_over_the_recipe_and_leave_it_alone() -> None:
    values: dict[str, Any] = {"name": "x", "evolution": {"n": 4}}
    recipe = parse_recipe(values, {"evolution.iterations": 2, "warmup.train.batch_size": 8})
    assert (recipe.evolution.iterations, recipe.evolution.n) == (2, 4)
    assert recipe.warmup is not None
    assert recipe.warmup.train.batch_size == 8
    assert values == {"name": "x", "evolution": {"n": 4}}


def test_an_override_can_not_go_below_a_value() -> None:
    with pytest.raises(InvalidRecipe, match="name is not a section"):
        parse_recipe({"name": "x"}, {"name.first": 1})


@pytest.mark.parametrize(("text", "words"), [("a: [", "not valid YAML"), ("- 1", "must be a mapping"), ("", "mapping")])
def test_text_that_is_no_recipe(text: str, words: str) -> None:
    with pytest.raises(InvalidRecipe, match=words):
        parse_recipe_yaml(text)


def test_yaml_builds_no_objects() -> None:
    with pytest.raises(InvalidRecipe, match="not valid YAML"):
        parse_recipe_yaml("name: !!python/object/apply:os.getcwd []")
