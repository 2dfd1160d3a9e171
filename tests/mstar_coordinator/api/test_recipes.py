"""Recipes by name come from one folder and from nowhere else."""

from pathlib import Path

import pytest

from mstar.errors import InvalidRecipe
from mstar_coordinator.api.recipes import RecipeBook


@pytest.fixture
def book(tmp_path: Path) -> RecipeBook:
    (tmp_path / "secret.yaml").write_text("name: secret")
    (tmp_path / "recipes" / "arms").mkdir(parents=True)
    (tmp_path / "recipes" / "demo.yaml").write_text("name: demo\nevolution: {iterations: 3}")
    (tmp_path / "recipes" / "arms" / "top-1.yaml").write_text("name: top-1")
    return RecipeBook(tmp_path / "recipes")


def test_recipes_are_listed_by_path(book: RecipeBook) -> None:
    assert [(one.name, one.recipe.name) for one in book.all()] == [("arms/top-1", "top-1"), ("demo", "demo")]


def test_overrides_lie_over_a_named_or_a_given_recipe(book: RecipeBook) -> None:
    assert book.read("demo", {"evolution.iterations": 1}).evolution.iterations == 1
    assert book.read({"name": "mine"}, {"seed": 3}).seed == 3


@pytest.mark.parametrize("name", ["nope", "../secret", "demo.yaml", "/etc/passwd", ""])
def test_other_names_are_unknown(book: RecipeBook, name: str) -> None:
    with pytest.raises(InvalidRecipe, match=r"there are: arms/top-1, demo"):
        book.read(name, {})


def test_a_recipe_extends_one_of_the_folder(book: RecipeBook, tmp_path: Path) -> None:
    (tmp_path / "recipes" / "arms" / "long.yaml").write_text("name: long\nextends: demo\nevolution: {n: 4}")
    named = book.read("arms/long", {"evolution.iterations": 5})
    assert (named.name, named.evolution.iterations, named.evolution.n) == ("long", 5, 4)
    given = book.read({"name": "mine", "extends": "arms/long"}, {})
    assert (given.name, given.evolution.iterations, given.evolution.n) == ("mine", 3, 4)


@pytest.mark.parametrize("parent", ["../secret.yaml", "/etc/passwd.yaml", "demo.yaml"])
def test_a_recipe_that_is_sent_opens_no_file(book: RecipeBook, parent: str) -> None:
    with pytest.raises(InvalidRecipe, match="none is opened for a recipe that is sent") as refusal:
        book.read({"name": "mine", "extends": parent}, {})
    assert refusal.value.field == "extends"
