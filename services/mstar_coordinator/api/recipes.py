"""The recipes that can be started by name: YAML files in a folder of the operator's, read when they are asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mstar.api.runs import NamedRecipe
from mstar.errors import InvalidRecipe
from mstar.recipes import Recipe, parse_recipe, parse_recipe_yaml


class RecipeBook:
    """Recipes below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[NamedRecipe]:
        """Every recipe, by name. Raises InvalidRecipe for a file that is none."""
        return [NamedRecipe(name=name, recipe=self.read(name, {})) for name in self._paths()]

    def read(self, recipe: str | Mapping[str, Any], overrides: Mapping[str, Any]) -> Recipe:
        """A recipe by name, or given itself, with overrides. Raises InvalidRecipe."""
        if not isinstance(recipe, str):
            return parse_recipe(recipe, overrides)
        # A name is looked up among those that exist, so it can't lead out of the folder.
        path = self._paths().get(recipe)
        if path is None:
            known = ", ".join(self._paths()) or "none"
            raise InvalidRecipe(f"recipe {recipe[:64]!r} is unknown; there are: {known}", field="recipe")
        return parse_recipe_yaml(path.read_text(encoding="utf-8"), overrides)

    def _paths(self) -> dict[str, Path]:
        found = sorted(self._folder.rglob("*.yaml"))
        return {path.relative_to(self._folder).with_suffix("").as_posix(): path for path in found}
