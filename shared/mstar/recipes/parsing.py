"""Reading a recipe: YAML or a mapping, overrides laid over it, and one sentence about the first field that is wrong."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from mstar.documents import MAX_DEPTH, check_plain, parse_yaml
from mstar.errors import InvalidRecipe
from mstar.first_problem import first_problem
from mstar.recipe_inheritance import EXTENDS
from mstar.recipes.recipe import Recipe

MEASURE = "measure"
"""Section that `POST /v1/evaluations` makes."""


def parse_recipe(values: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Validate a recipe with overrides laid over it: dotted keys, sections, or both.

    `{"evolution.n": 2}` and `{"evolution": {"n": 2}}` mean the same and leave the rest of the section as it is.
    Raises InvalidRecipe naming the first bad field.
    """
    # Before anything recurses into them: `_copied`, json.dumps and pydantic would meet the depth first.
    check_plain(values, "recipe")
    check_plain(overrides or {}, "overrides")
    if EXTENDS in values or EXTENDS in (overrides or {}):
        raise InvalidRecipe(
            "extends: parents are files, which are not read here: start the recipe by its file or its name, or send it "
            "to the coordinator; overrides cannot hold extends",
            field=EXTENDS,
        )
    merged = _copied(values)
    for path, value in _flat(overrides or {}).items():
        _set(merged, path, value)
    if merged.get(MEASURE) is not None:
        raise InvalidRecipe("measure: a run trains a model; `mstar eval` measures one", field=MEASURE)
    prm = merged.get("prm")
    if isinstance(prm, dict) and prm.get("train") is False:
        # Here, since below a validator that sees raw values pydantic takes no names for enums and no lists for tuples.
        prm["train"] = None
    try:
        # Strict: text or `true` is not a number. From JSON, where lists may become tuples and names enums.
        return Recipe.model_validate_json(json.dumps(merged, allow_nan=False), strict=True)
    except ValidationError as error:
        raise _refusal(error) from None


def parse_recipe_yaml(text: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Validate a recipe in YAML. Raises InvalidRecipe."""
    return parse_recipe(recipe_values(text), overrides)


def recipe_values(text: str) -> dict[str, Any]:
    """The values of a recipe in YAML, not yet validated. Raises InvalidRecipe for text that is not a mapping."""
    try:
        values = parse_yaml(text)
    except ValueError as error:
        raise InvalidRecipe(f"recipe is not valid YAML: {error}", field="recipe") from None
    if not isinstance(values, dict):
        raise InvalidRecipe("recipe must be a mapping with at least a name", field="recipe")
    return values


def _refusal(error: ValidationError) -> InvalidRecipe:
    place, said = first_problem(error, Recipe)
    field = place or "recipe"
    return InvalidRecipe(f"{field}: {said}", field=field)


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def _flat(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides by the dotted path of the value that each sets. Raises InvalidRecipe where two set the same."""
    found: dict[str, Any] = {}
    for path, value in _leaves(overrides, ""):
        if path in found:
            raise InvalidRecipe(f"override {path} is given twice: keep one", field=path)
        found[path] = value
    for path in found:
        parts = path.split(".")
        # Which of the two wins would depend on their order, which JSON objects do not promise.
        outer = next((o for end in range(1, len(parts)) if (o := ".".join(parts[:end])) in found), None)
        if outer is not None:
            raise InvalidRecipe(f"override {path} lies inside {outer}, which is overridden too: keep one", field=path)
    return found


def _leaves(overrides: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in overrides.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _set(values: dict[str, Any], path: str, value: Any) -> None:
    """Set one value by its dotted path; an empty section leaves the one that is there."""
    *parents, leaf = path.split(".")
    if len(parents) >= MAX_DEPTH:
        raise InvalidRecipe(f"override {path} names more than {MAX_DEPTH} levels", field=path)
    place = values
    for part in parents:
        child = place.get(part)
        if child is None:
            child = place[part] = {}
        if not isinstance(child, dict):
            raise InvalidRecipe(f"override {path}: {part} is not a section", field=path)
        place = child
    # A section without keys changes nothing; it must not empty the section that is there.
    if value != {} or not isinstance(place.get(leaf), dict):
        place[leaf] = value
