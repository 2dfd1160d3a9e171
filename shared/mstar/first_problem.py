"""The first validation error of values that a person wrote, as a field and a sentence."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from mstar.misfit import Misfit

MAX_ECHO = 64
"""Letters of a name that nobody knows."""


def first_problem(error: ValidationError, kind: type[BaseModel]) -> tuple[str, str]:
    """The dotted path of the field, empty for the whole, and what is wrong with it. `kind`: what was validated."""
    # Inputs are left out: values may be megabytes, and the text ends in a log.
    first = error.errors(include_input=False, include_url=False)[0]
    # Pydantic marks an error in a dictionary's key by this part.
    places = [part for part in first["loc"] if part != "[key]"]
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        said = _unknown(str(places[-1]), sorted(_names(kind, places[:-1])))
    cause = first.get("ctx", {}).get("error")
    # Pydantic's location ends at the model that noticed; only Misfit knows the field in it.
    if isinstance(cause, Misfit):
        places.append(cause.field)
    return ".".join(map(str, places)), said


def _unknown(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name[:MAX_ECHO], known, 1)
    if near:
        return f"is not a field; did you mean {near[0]}?"
    return f"is not a field: remove it, or use one of {', '.join(known)}" if known else "is not a field: remove it"


def _names(kind: type[BaseModel], places: Sequence[int | str]) -> set[str]:
    """Names of the fields that a section has; it may be one of several kinds."""
    kinds = [kind]
    for place in places:
        inner = [one for outer in kinds if place in outer.model_fields for one in _kinds_in(outer, str(place))]
        # A key of a dictionary or a place in a list is not a field, and leads to the same kinds.
        kinds = inner or kinds
    return {name for one in kinds for name in one.model_fields}


def _kinds_in(kind: type[BaseModel], field: str) -> list[type[BaseModel]]:
    return list(_models(kind.model_fields[field].annotation))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
