"""Bodies of many bad items are refused by their first one: an error for each would hold up all other requests."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter

import mstar.api
from mstar.api.policy import RolloutRequest
from mstar.errors import TooLarge
from mstar_policy.chat import ChatRequest
from mstar_web.bodies import BodyBound, read_body

LISTS = ("list", "set", "frozenset", "tuple")
ASKED = ("Request", "Create", "Change", "Choice", "Prompt", "Introspect", "WeightsUpdate")


def bodies() -> Iterator[type[BaseModel]]:
    """The models that requests are read with; what workers commit is checked by its own step."""
    for module in pkgutil.iter_modules(mstar.api.__path__, "mstar.api."):
        for name, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(found, BaseModel) and found.__module__ == module.name and name.endswith(ASKED):
                yield found
    yield ChatRequest


def patient(schema: Any) -> Iterator[str]:
    """Lists of a schema that are read to their end whatever is in them."""
    if isinstance(schema, dict):
        # A tuple that has a number of items of its own is as long as that.
        bounded = schema.get("type") == "tuple" and schema.get("variadic_item_index") is None
        if schema.get("type") in LISTS and not bounded and not schema.get("fail_fast"):
            yield str(schema)[:200]
        for value in schema.values():
            yield from patient(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from patient(value)


@pytest.mark.parametrize("body", list(bodies()), ids=lambda body: body.__name__)
def test_lists_of_a_request_end_at_their_first_bad_item(body: type[BaseModel]) -> None:
    assert list(patient(body.__pydantic_core_schema__)) == []


def test_a_million_bad_items_are_one_error() -> None:
    adapter = TypeAdapter(RolloutRequest)
    with pytest.raises(RequestValidationError) as refused:
        read_body(adapter, b'{"prompts":[' + b"1," * 1_000_000 + b"1]}", BodyBound(values=2_000_000))
    assert len(refused.value.errors()) == 1
    names = b",".join(b'"k%d":1' % number for number in range(200))
    with pytest.raises(TooLarge, match="more than 100 names and objects"):
        read_body(adapter, b"{" + names + b"}", BodyBound(names=100))
