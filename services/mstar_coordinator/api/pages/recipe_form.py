"""Makes the fields of a form from the recipe's JSON schema and from the values of one recipe. Pure.

A field that is more than one value (a list, or a section that may be absent) is edited as JSON.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mstar.recipes import Recipe
from mstar.recipes.parsing import MEASURE


@dataclass(frozen=True)
class FormField:
    """One value of a recipe, as it is asked for."""

    path: str
    """Dotted, as overrides and errors name it: `evolution.n`."""
    about: str
    """The field's sentence."""
    kind: str
    """`number`, `integer`, `choice`, `text` or `json`."""
    value: str
    """As JSON, which the form compares with to find what was changed."""
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    optional: bool = False
    """Whether nothing at all may be written, which stands for `null`."""
    wanted: str = ""
    """What to write, where it is not any text."""

    @property
    def shown(self) -> str:
        """The value as a person writes it: text without quotation marks."""
        read = json.loads(self.value)
        if read is None and self.optional:
            return ""
        return read if isinstance(read, str) and self.kind in ("text", "choice") else self.value


@dataclass(frozen=True)
class FormSection:
    """Fields that belong together."""

    path: str
    fields: tuple[FormField, ...]


def sections_of(recipe: Recipe) -> tuple[FormSection, ...]:
    """The recipe's sections in order, each with all of its fields."""
    schema = Recipe.model_json_schema()
    definitions: Mapping[str, Any] = schema["$defs"]
    values = recipe.model_dump(mode="json")
    made: dict[str, list[FormField]] = {}
    for field in _fields("", schema, values, definitions):
        if field.path == MEASURE:
            continue  # no recipe that is started may set it
        made.setdefault(field.path.rpartition(".")[0], []).append(field)
    return tuple(FormSection(path, tuple(fields)) for path, fields in made.items())


def _fields(
    path: str, schema: Mapping[str, Any], values: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Iterator[FormField]:
    plain = {name: one for name, one in schema["properties"].items() if not _is_section(one, values[name], definitions)}
    # First what is asked for here, then what lies deeper: a section's fields stand together.
    for name in (*plain, *(name for name in schema["properties"] if name not in plain)):
        declared, value = schema["properties"][name], values[name]
        inner = _resolved(declared, definitions)
        place = f"{path}.{name}" if path else name
        if name in plain:
            yield _field(place, declared, inner, value)
        else:
            yield from _fields(place, inner, value, definitions)


def _is_section(declared: Mapping[str, Any], value: Any, definitions: Mapping[str, Any]) -> bool:
    """Whether it has fields of its own now: a section that may be absent and is has none."""
    return isinstance(value, dict) and "properties" in _resolved(declared, definitions)


def _resolved(declared: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema behind a reference, and of what may be null the one that it is otherwise."""
    options = [one for one in declared.get("anyOf", ()) if one.get("type") != "null"]
    inner = options[0] if len(options) == 1 else declared
    if "$ref" in inner:
        inner = definitions[inner["$ref"].rpartition("/")[2]]
    return inner


def _field(path: str, declared: Mapping[str, Any], inner: Mapping[str, Any], value: Any) -> FormField:
    nullable = "anyOf" in declared
    kind, choices = _kind(inner)
    optional = nullable and kind != "json"
    about = str(declared.get("description") or inner.get("description") or "")
    if nullable:
        about += " Empty: not set." if optional else " `null`: not set."
    return FormField(
        path=path,
        about=about,
        kind=kind,
        value=json.dumps(value),
        choices=("", *choices) if optional and choices else choices,
        # A form's bound includes its end; the one value too many is refused by the server.
        least=inner.get("minimum", inner.get("exclusiveMinimum")),
        most=inner.get("maximum", inner.get("exclusiveMaximum")),
        optional=optional,
        wanted=_WANTED.get(kind) or _WANTED.get(inner.get("type", ""), "a JSON value"),
    )


_WANTED = {
    "integer": "a whole number",
    "number": "a number",
    "array": "a list in brackets, such as [1, 2]",
    "object": "an object in braces, such as {}",
}
"""By a field's kind, or by the type of what is edited as JSON."""


def _kind(inner: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """How a value is edited, and what there is to choose from."""
    if inner.get("type") == "boolean":
        return "choice", ("true", "false")
    if "enum" in inner:
        return "choice", tuple(map(str, inner["enum"]))
    plain = {"integer": "integer", "number": "number", "string": "text"}
    return plain.get(str(inner.get("type")), "json"), ()
