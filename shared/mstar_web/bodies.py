"""JSON bodies of requests: bounded, read in a thread, and strict.

Python's JSON parser and the validation behind it hold the interpreter lock, so a body that takes a second to read would
stop every other request and the health checks for that second. Three things keep a body cheap: its bytes are counted as
they arrive, its values are counted before it is parsed, and it is parsed in a thread of a small pool.

Strict means: no duplicate keys, no NaN or infinity, no NUL, no half of a surrogate pair, no number that only looks like
one (`"4"`, `true`). What this leaves out: the size in bytes (`limits`).
"""

import asyncio
import math
import re
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jiter
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from mstar.errors import InvalidInput, TooLarge

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing and carry no body."""
MAX_DEPTH = 32
MAX_INTEGER = 2**63
PARSERS = 2
COUNTED_TOGETHER = 2**18
"""Bytes whose marks are counted before other threads get a turn."""

VALUES = b",", b"[", b"{"
NAMES = b":", b"{"
_SHAPE = re.compile(r"str|int|float|bool|\w+\[.*\]")
"""What pydantic calls a member of a union; no field of a body is called so."""

# Two threads for the whole process: more would only share one interpreter lock and keep a memory arena each.
_parsers = ThreadPoolExecutor(PARSERS, thread_name_prefix="json")


@dataclass(frozen=True)
class BodyBound:
    """What a request body may be at most."""

    bytes: int = 4 * 2**20
    values: int = 100_000
    """Members, items and brackets. Commas inside strings are counted too, since telling them apart means parsing."""
    names: int = 100_000
    """Members of objects, and objects; colons inside strings are counted too. They take longest of all to parse."""


class _JsonRequest(Request):
    """A request whose JSON is validated where it is parsed: FastAPI takes the model as it is."""

    adapter: TypeAdapter[Any]

    async def body(self) -> bytes:
        """Whether there is a body, as one byte: FastAPI keeps what it gets here until the request ends."""
        return b" " if await super().body() else b""

    async def json(self) -> Any:
        body = await super().body()
        bound: BodyBound = self.scope.get("mstar.bound", BodyBound())
        found = await asyncio.get_running_loop().run_in_executor(_parsers, read_body, self.adapter, body, bound)
        # The bytes have become a model, which is enough to hold while the request waits.
        self._body = b""
        release: Callable[[], None] = self.scope.get("mstar.release", lambda: None)
        release()
        return found


class JsonRoute(APIRoute):
    """A route that reads its JSON body by these rules. For `APIRouter(route_class=JsonRoute)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            # A route that takes the request itself reads its body by rules of its own.
            own_rules = SAFE_METHODS.issuperset(self.methods or ()) or self.dependant.request_param_name is not None
            return handle if own_rules else _without_body(handle)
        annotation = self.body_field.field_info.annotation
        assert annotation is not None, "a parameter for a body says what it is"
        adapter = TypeAdapter[Any](annotation)

        async def strict(request: Request) -> Response:
            wrapped = _JsonRequest(request.scope, request.receive)
            wrapped.adapter = adapter
            return await handle(wrapped)

        return strict


def _without_body(handle: Callable[[Request], Coroutine[Any, Any, Response]]) -> Callable[..., Any]:
    """A handler for changes that need no body: none and `{}` are fine, members would be ignored and so are refused."""

    async def strict(request: Request) -> Response:
        if (await request.body()).strip() not in (b"", b"{}"):
            raise InvalidInput("body: this call takes no body: send none, or {}", field="body")
        return await handle(request)

    return strict


def read_body(adapter: TypeAdapter[Any], body: bytes, bound: BodyBound) -> Any:
    """The value that a body holds.

    Raises TooLarge, InvalidInput for what is not JSON or breaks a rule of all bodies, and RequestValidationError for
    what the adapter refuses.
    """
    for marks, most, what in ((VALUES, bound.values, "values"), (NAMES, bound.names, "names and objects")):
        if holds_more(body, most, marks):
            raise TooLarge(f"the body holds more than {most} {what}: send fewer items in one request")
    try:
        # First for what the validation below does not refuse: duplicate keys, NUL, and depth.
        check_json(body)
    except InvalidInput as error:
        if error.field is not None:
            raise
        raise InvalidInput(f"body: {error.detail}", field="body") from None
    try:
        # From the bytes again: of a Python tree strict mode would refuse a list for a tuple, and a string for an enum.
        return adapter.validate_json(body, strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        listed = [{**item, "loc": ("body", *item["loc"])} for item in _one_a_union(_not_too_short(found))]
        raise RequestValidationError(listed) from None


def check_json(document: bytes) -> None:
    """Raises InvalidInput for what is not JSON or breaks a rule of all bodies; without a field where it is not JSON."""
    try:
        tree = jiter.from_json(document, allow_inf_nan=False, cache_mode="none", catch_duplicate_keys=True)
    except ValueError as error:
        # The parser's words for half of a surrogate pair.
        cause = str(error).replace("unexpected end of hex escape", "half of a surrogate pair")
        raise InvalidInput(f"not valid JSON: {cause[:200]}") from None
    # The tree ends here: it takes several times the bytes of the document, and so does the model that is made next.
    _check_values(tree)


def holds_more(body: bytes, most: int, marks: tuple[bytes, ...] = VALUES) -> bool:
    """Whether a body holds more values than that, or names, counted by the marks that separate and open them.

    In parts: one count of eight million marks holds the interpreter lock for a tenth of a second.
    """
    found = 1
    for begin in range(0, len(body), COUNTED_TOGETHER):
        part = body[begin : begin + COUNTED_TOGETHER]
        found += sum(part.count(mark) for mark in marks)
        if found > most:
            return True
    return False


def _not_too_short(found: list[Any]) -> list[Any]:
    """Errors without those that call a list too short whose check ended at a bad item (`FIRST_BAD_ENDS`)."""
    ended = [item["loc"] for item in found if item["type"] == "too_short"]
    bad = {place for place in ended if any(item["loc"][: len(place)] == place != item["loc"] for item in found)}
    return [item for item in found if item["type"] != "too_short" or item["loc"] not in bad]


def _one_a_union(found: list[Any]) -> Iterator[Any]:
    """Errors with their place as the caller knows it: of a value of several shapes those of the shape that fits best.

    Pydantic lists all shapes with their names in the place, the text before the list of parts. Whoever sends one bad
    part needs to hear of that part.
    """
    unions: dict[tuple[int | str, ...], list[Any]] = {}
    for item in found:
        place = item["loc"][1:] if item["loc"] and str(item["loc"][0]).startswith("shape:") else item["loc"]
        shapes = [number for number, part in enumerate(place) if _SHAPE.fullmatch(str(part))]
        union = place[: shapes[0]] if shapes else place
        unions.setdefault(union, []).append({**item, "loc": tuple(place)})
    for union, items in unions.items():
        furthest = max(len(item["loc"]) for item in items)
        best = [item for item in items if len(item["loc"]) == furthest]
        if furthest == len(union) + 1 and len(best) > 1:
            yield {**best[0], "loc": union, "msg": ", or: ".join(item["msg"] for item in best)}
            continue
        for item in best:
            yield {**item, "loc": tuple(part for part in item["loc"] if not _SHAPE.fullmatch(str(part)))}


def _check_values(tree: Any) -> None:
    """Raises InvalidInput for JSON that can't be stored or computed with: depth, infinity, huge integers, NUL."""
    # A stack of its own: recursion would end at Python's limit before it could name the place.
    waiting: list[tuple[Any, int, str]] = [(tree, 1, "")]
    while waiting:
        value, depth, place = waiting.pop()
        problem = _problem(value) if depth <= MAX_DEPTH else f"nested more than {MAX_DEPTH} levels deep"
        if problem is not None:
            field = place.removeprefix(".") or "body"
            raise InvalidInput(f"{field}: {problem}", field=field)
        if isinstance(value, dict):
            for key, child in value.items():
                if "\x00" in key:
                    raise InvalidInput("body: a name holds the character NUL", field="body")
                waiting.append((child, depth + 1, f"{place}.{key}"[:200]))
        elif isinstance(value, list):
            waiting.extend((child, depth + 1, f"{place}.{index}"[:200]) for index, child in enumerate(value))


def _problem(value: Any) -> str | None:
    if isinstance(value, str) and "\x00" in value:
        return "text must not hold the character NUL"
    if isinstance(value, float) and not math.isfinite(value):
        return "number is too large"
    # A boolean is an integer in Python, and small.
    if isinstance(value, int) and not -MAX_INTEGER <= value < MAX_INTEGER:
        return "integer is beyond 64 bits"
    return None
