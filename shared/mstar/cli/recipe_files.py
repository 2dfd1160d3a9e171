"""Recipes as commands take them: a file or the name of one that ships, and `--set` for single fields."""

from pathlib import Path
from typing import Any

from mstar.documents import parse_yaml
from mstar.errors import InvalidRecipe
from mstar.recipe_folder import RecipeFolder, is_file_name
from mstar.recipes import Recipe, parse_recipe

SHIPPED = RecipeFolder(Path(__file__).parents[3] / "recipes", hint="; a file is named with its .yaml")
"""In a checkout; an installed package has none."""


def read_recipe(recipe: str, settings: list[str]) -> Recipe:
    """A file, or a recipe of this checkout by name, with overrides. Raises InvalidRecipe."""
    return parse_recipe(recipe_values_of(recipe), overrides_of(settings))


def recipe_values_of(recipe: str) -> dict[str, Any]:
    """The values of a file, or of a recipe of this checkout by name, not yet validated. Raises InvalidRecipe."""
    return SHIPPED.file(Path(recipe)) if is_file_name(recipe) else SHIPPED.named(recipe)


def overrides_of(settings: list[str]) -> dict[str, Any]:
    """Overrides by their dotted paths, from `key=value` with a value in YAML. Raises InvalidRecipe."""
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise InvalidRecipe(f"--set {setting}: write it as key=value", field=setting)
        try:
            # YAML and not JSON, so that `--set data.source=folder` needs no quotes.
            overrides[key] = parse_yaml(value)
        except ValueError as error:
            raise InvalidRecipe(f"--set {setting}: the value is not valid YAML: {error}", field=key) from None
    return overrides
