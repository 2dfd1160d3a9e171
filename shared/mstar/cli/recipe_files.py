"""Recipes as commands take them: a file or the name of one that ships, and `--set` for single fields."""

from pathlib import Path
from typing import Any

from mstar.documents import parse_yaml
from mstar.errors import InvalidRecipe
from mstar.recipes import Recipe, parse_recipe, recipe_values

SHIPPED = Path(__file__).parents[3] / "recipes"
"""In a checkout; an installed package has none."""


def read_recipe(recipe: str, settings: list[str]) -> Recipe:
    """A file, or a recipe of this checkout by name, with overrides. Raises InvalidRecipe."""
    return parse_recipe(recipe_values_of(recipe), overrides_of(settings))


def recipe_values_of(recipe: str) -> dict[str, Any]:
    """The values of a file, or of a recipe of this checkout by name, not yet validated. Raises InvalidRecipe."""
    if is_file_name(recipe):
        return file_values(recipe)
    there = {path.relative_to(SHIPPED).with_suffix("").as_posix(): path for path in sorted(SHIPPED.rglob("*.yaml"))}
    if recipe not in there:
        known = ", ".join(there) or "none"
        raise InvalidRecipe(f"recipe {recipe[:64]!r} is unknown; give a .yaml file, or one of: {known}", field="recipe")
    return file_values(str(there[recipe]))


def is_file_name(recipe: str) -> bool:
    """Whether this names a file, and not a recipe that ships."""
    return Path(recipe).suffix in (".yaml", ".yml")


def file_values(recipe: str) -> dict[str, Any]:
    """The values in a recipe file, not yet validated. Raises InvalidRecipe."""
    path = Path(recipe)
    if not path.is_file():
        raise InvalidRecipe(f"recipe file {recipe} does not exist", field="recipe")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRecipe(f"recipe file {recipe} cannot be read: {error}", field="recipe") from error
    return recipe_values(text)


def overrides_of(settings: list[str]) -> dict[str, Any]:
    """Overrides by their dotted paths, from `key=value` with a value in YAML. Raises InvalidRecipe."""
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise InvalidRecipe(f"--set {setting}: write it as key=value", field=setting)
        try:
            overrides[key] = parse_yaml(value)
        except ValueError as error:
            raise InvalidRecipe(f"--set {setting}: the value is not valid YAML: {error}", field=key) from None
    return overrides
