"""Recipes in files: those of one folder by name, any `.yaml` file by path, and the parents that either extends."""

from collections.abc import Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

from mstar.errors import InvalidRecipe
from mstar.recipe_inheritance import EXTENDS, Layer, inherited
from mstar.recipes import recipe_values

SUFFIXES = (".yaml", ".yml")
GIVEN = "the given recipe"
_SHOWN = 64


class RecipeFolder:
    """The recipes that can be named, which are read when they are asked for."""

    def __init__(self, folder: Path, hint: str = "") -> None:
        """`hint`: what else may be given where a name is unknown, for the message."""
        self._folder = folder
        self._hint = hint

    def names(self) -> dict[str, Path]:
        """Recipes by name, such as `minivista` or `arms/rest-em`, with their files."""
        # Read anew at each call, so that a recipe that an operator puts there can be named at once.
        found = sorted(self._folder.rglob("*.yaml"))
        return {path.relative_to(self._folder).with_suffix("").as_posix(): path for path in found}

    def named(self, name: str) -> dict[str, Any]:
        """Values of a recipe of the folder with those of its parents, not yet validated. Raises InvalidRecipe."""
        return inherited(self._layer(self._path(name, "recipe")), self._parent)

    def file(self, path: Path) -> dict[str, Any]:
        """Values of a file with those of its parents, not yet validated. Raises InvalidRecipe."""
        return inherited(self._layer(path), self._parent)

    def given(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values that came without a file, which may extend a recipe of the folder only. Raises InvalidRecipe."""
        return inherited(Layer(GIVEN, values), self._parent)

    def _parent(self, name: str, child: Layer) -> Layer:
        if not is_file_name(name):
            return self._layer(self._path(name, EXTENDS))
        if child.place == GIVEN:
            # Whoever sends a recipe over the network must not choose which files are opened.
            raise InvalidRecipe(
                f"{EXTENDS}: {name[:_SHOWN]!r} is a file, and none is opened for a recipe that is sent: name one that "
                f"ships ({self._known()}), or start it with `mstar run start FILE`",
                field=EXTENDS,
            )
        return self._layer(Path(child.place).parent / name, f"{EXTENDS} in {child.place}: ", EXTENDS)

    def _path(self, name: str, field: str) -> Path:
        # A name is looked up among those that exist, so it cannot lead out of the folder.
        path = self.names().get(name)
        if path is None:
            shown = f"{field}: recipe" if field == EXTENDS else "recipe"
            detail = f"{shown} {name[:_SHOWN]!r} is unknown; there are: {self._known()}{self._hint}"
            raise InvalidRecipe(detail, field=field)
        return path

    def _known(self) -> str:
        return ", ".join(self.names()) or "none"

    @staticmethod
    def _layer(path: Path, said: str = "", field: str = "recipe") -> Layer:
        if not path.is_file():
            raise InvalidRecipe(f"{said}recipe file {path} does not exist", field=field)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidRecipe(f"{said}recipe file {path} cannot be read: {error}", field=field) from error
        try:
            # The resolved path, since two spellings of one file in a chain are a cycle all the same.
            return Layer(str(path.resolve()), deepcopy(_values(text)))
        except InvalidRecipe as error:
            raise InvalidRecipe(f"{path}: {error.detail}", field=error.field) from None


@lru_cache(maxsize=256)
def _values(text: str) -> dict[str, Any]:
    """Values of a file's text. They are kept: parents are read once for each child, and a list reads every recipe."""
    return recipe_values(text)


def is_file_name(recipe: str) -> bool:
    """Whether this names a file, and not a recipe by name."""
    return Path(recipe).suffix in SUFFIXES
