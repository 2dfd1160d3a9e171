"""`extends` in a recipe: it names another recipe and lists only what it changes.

Sections are merged key by key, at every depth; anything else (a number, a list, `null`) replaces what the parent has.
The result has no `extends`, so what a run records is the whole recipe. Reading parents is the caller's job.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mstar.documents import check_plain
from mstar.errors import InvalidRecipe

EXTENDS = "extends"
MAX_PARENTS = 8
"""Recipes in one chain of `extends`, the first one left out."""


@dataclass(frozen=True)
class Layer:
    """One recipe of a chain, as it is written."""

    place: str
    """Names the file or recipe in messages; two layers of one place are a cycle."""
    values: Mapping[str, Any]


FindParent = Callable[[str, Layer], Layer]
"""The parent that a layer names by this text. Raises InvalidRecipe where there is none."""


def inherited(layer: Layer, parent: FindParent) -> dict[str, Any]:
    """The values of a recipe laid over those of its parents, without `extends`.

    Raises InvalidRecipe, with the field `extends`, for a parent that is unknown or no text, for a cycle and for a
    chain of more than MAX_PARENTS.
    """
    check_plain(layer.values, "recipe")
    chain = [layer]
    while (name := chain[-1].values.get(EXTENDS)) is not None:
        chain.append(_next(chain, name, parent))
    merged: dict[str, Any] = {}
    for one in reversed(chain):
        # From the farthest parent to the recipe itself, so that what is nearer wins.
        merged = overlaid(merged, one.values)
    merged.pop(EXTENDS, None)
    return merged


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings as one: sections are merged, other values of `above` win. Neither argument changes."""
    merged = dict(below)
    for key, value in above.items():
        there = merged.get(key)
        # Copied also where there is nothing to merge with, so that the result shares no section with either argument.
        if isinstance(value, Mapping):
            merged[key] = overlaid(there if isinstance(there, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def _next(chain: list[Layer], name: Any, parent: FindParent) -> Layer:
    if not isinstance(name, str) or not name:
        raise _refused(f"{chain[-1].place}: name one recipe or one .yaml file")
    places = [one.place for one in chain]
    # Before the next parent is read: a chain of files must end however long it is.
    if len(chain) > MAX_PARENTS:
        raise _refused(f"{' extends '.join(places)}: at most {MAX_PARENTS} parents are read; merge some of them")
    found = parent(name, chain[-1])
    check_plain(found.values, "recipe")
    if found.place in places:
        raise _refused(f"{' extends '.join([*places, found.place])}: a recipe cannot extend itself; remove one link")
    return found


def _refused(detail: str) -> InvalidRecipe:
    return InvalidRecipe(f"{EXTENDS}: {detail}", field=EXTENDS)
