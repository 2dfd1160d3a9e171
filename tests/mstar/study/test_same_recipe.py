"""Results of older versions stay results of a study, as long as its recipe says the same."""

import json
from typing import Any

import pytest

from mstar.recipes import Recipe, parse_recipe
from mstar.study.same_recipe import other_field, recipe_values

VALUES = {
    "name": "x",
    "prm": None,
    "exploration": {"mode": "fixed"},
    "evolution": {"iterations": 3, "selection": {"mode": "all"}},
}
NOW = parse_recipe(VALUES)


def kept(recipe: Recipe = NOW) -> Any:
    """As a result file holds it."""
    return json.loads(json.dumps(recipe_values(recipe)))


def test_the_same_recipe_differs_in_nothing() -> None:
    assert other_field(kept(), NOW) is None


def test_a_field_that_is_newer_than_the_result_must_be_at_its_default() -> None:
    older = kept()
    del older["data"]["validation"], older["evolution"]["n"], older["answers"]
    assert other_field(older, NOW) is None
    changed = NOW.model_copy(update={"evolution": NOW.evolution.model_copy(update={"n": 5})})
    assert other_field(older, changed) == "evolution.n"


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [("evolution", "iterations", 4), ("data", "train", 1), ("evolution", "gone", True), ("exploration", "grid", [1.0])],
)
def test_a_field_that_both_know_must_be_equal_also_where_a_default_has_changed(
    section: str, name: str, value: object
) -> None:
    older = kept()
    older[section][name] = value
    assert other_field(older, NOW) == f"{section}.{name}"


def test_a_section_that_only_one_of_them_has_is_a_difference() -> None:
    other = parse_recipe({name: value for name, value in VALUES.items() if name != "prm"})
    assert other_field(kept(), other) == "prm" == other_field(kept(other), NOW)
