"""The recipes that can be started by name: YAML files in a folder of the operator's, read when they are asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mstar.api.runs import NamedRecipe
from mstar.recipe_folder import RecipeFolder
from mstar.recipes import Recipe, parse_recipe


class RecipeBook:
    """Recipes below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = RecipeFolder(folder)

    def all(self) -> list[NamedRecipe]:
        """Every recipe, by name. Raises InvalidRecipe for a file that is none."""
        return [NamedRecipe(name=name, recipe=self.read(name, {})) for name in self._folder.names()]

    def names(self) -> list[str]:
        """Names of the recipes that can be started, in order; none is read."""
        return list(self._folder.names())

    def read(self, recipe: str | Mapping[str, Any], overrides: Mapping[str, Any]) -> Recipe:
        """A recipe by name, or given itself, with its parents and overrides. Raises InvalidRecipe."""
        return parse_recipe(self.values(recipe), overrides)

    def values(self, recipe: str | Mapping[str, Any]) -> dict[str, Any]:
        """Values of a recipe by name, or given itself, with its parents; not yet validated. Raises InvalidRecipe."""
        return self._folder.named(recipe) if isinstance(recipe, str) else self._folder.given(recipe)
