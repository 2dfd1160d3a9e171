"""Whether a run was made with the recipe that its study has now, also where a newer version knows more fields.

A hash of the recipe would refuse every older result once a field is added. Here a field that a result does not know
must be at its default; one that it knows must be equal, so that a default that has changed since is seen.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mstar.recipes import Recipe


def recipe_values(recipe: Recipe) -> dict[str, Any]:
    """A recipe with every default written out, as its JSON says it."""
    return recipe.model_dump(mode="json")


def other_field(kept: Mapping[str, Any], now: Recipe) -> str | None:
    """The first field in which the values of a run differ from a recipe; None where they say the same."""
    return next(_differences(kept, recipe_values(now), now.model_dump(mode="json", exclude_defaults=True), ""), None)


def _differences(
    kept: Mapping[str, Any], now: Mapping[str, Any], chosen: Mapping[str, Any], place: str
) -> Iterator[str]:
    """`chosen`: the part of `now` that is not at its default."""
    for name in (*now, *(name for name in kept if name not in now)):
        where = f"{place}{name}"
        # A field that is newer than the result: the run had what is its default now.
        if name not in kept:
            if name in chosen:
                yield where
        elif isinstance(kept[name], dict) and isinstance(now.get(name), dict):
            yield from _differences(kept[name], now[name], chosen.get(name) or {}, f"{where}.")
        # A field that is gone: nobody can tell what it did, so the result counts as another recipe's.
        elif name not in now or kept[name] != now[name]:
            yield where
