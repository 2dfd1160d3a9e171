"""JSON and YAML that people write: read without surprises, and refused before it can cost memory or time.

No key stands twice, YAML aliases are refused (a few lines of them expand without bound), and depth, length and numbers
are limited. YAML scalars follow the core schema of YAML 1.2: `1e-4` is a number, `no` and `2026-01-01` are text.
"""

import json
import math
import re
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import yaml
from yaml.events import AliasEvent

from mstar.errors import InvalidRecipe

MAX_YAML_CHARACTERS = 256 * 1024
MAX_DEPTH = 16
MAX_VALUES = 10_000
MAX_KEY = 200
MAX_TEXT = 4096
MAX_INTEGER = 2**63 - 1
"""The largest that a column of the database holds."""
_SHOWN = 64


class DuplicateKey(ValueError):
    """A JSON object or YAML mapping names a key twice; parsers disagree on which one counts."""


def parse_json(text: str | bytes) -> Any:
    """A JSON document. Raises ValueError for a key given twice, NaN, bad Unicode and nesting beyond the parser."""
    try:
        # Python reads NaN as a number and keeps the last of two equal keys, where other readers of the bytes would not.
        return json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_yaml(text: str) -> Any:
    """A YAML document of plain values. Raises ValueError that names the line."""
    # PyYAML builds a tree of Python objects many times the size of the text before a limit could be checked.
    if len(text) > MAX_YAML_CHARACTERS:
        raise ValueError(f"longer than {MAX_YAML_CHARACTERS} characters")
    try:
        return yaml.load(text, _PlainLoader)  # noqa: S506 - a SafeLoader that refuses more
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        said = error.problem or "not understood"
        raise ValueError(f"{line}{'one document is read, ' + said if said.startswith('but') else said}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).partition("\n")[0][:200]) from None


def check_plain(value: Any, field: str) -> None:
    """Raises InvalidRecipe, which names the place below `field`, for a value beyond the limits above.

    Walks without recursion, so that depth cannot exhaust the stack.
    """
    waiting = [(field, value, 0)]
    seen = 0
    while waiting:
        where, one, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH:
            raise InvalidRecipe(f"{where} is nested too deeply: at most {MAX_DEPTH} levels are read", field=where)
        problem = _problem(one)
        if problem is not None:
            raise InvalidRecipe(f"{where} {problem}", field=where)
        # Counted before the children are queued: a list of millions must not be copied to find that it is too long.
        if isinstance(one, Mapping | list | tuple):
            if seen + len(waiting) + len(one) > MAX_VALUES:
                place = where if len(one) > MAX_VALUES else field
                raise InvalidRecipe(f"{place} holds more than {MAX_VALUES} values", field=place)
            waiting.extend((f"{where}.{name}", child, depth + 1) for name, child in _children(one, where))


def _children(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], where: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield from ((str(place), child) for place, child in enumerate(value))
        return
    for key, child in value.items():
        if not isinstance(key, str):
            raise InvalidRecipe(f"{where} has the key {str(key)[:_SHOWN]}, which is not text", field=where)
        problem = "is too long" if len(key) > MAX_KEY else _text_problem(key)
        if problem is not None:
            raise InvalidRecipe(f"{where} has the key {key[:_SHOWN]!a}, which {problem}", field=where)
        yield key, child


def _problem(value: Any) -> str | None:
    """What is wrong with one value, without what it holds."""
    if isinstance(value, str):
        return _text_problem(value)
    if value is None or isinstance(value, bool | Mapping | list | tuple):
        return None
    if isinstance(value, int):
        return None if abs(value) <= MAX_INTEGER else "is a number beyond 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else "is not a finite number"
    return f"is a {type(value).__name__}, a value that JSON cannot hold"


def _text_problem(text: str) -> str | None:
    if len(text) > MAX_TEXT:
        return f"is longer than {MAX_TEXT} characters"
    if "\x00" in text:
        return "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode: it holds half of a surrogate pair"
    return None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise DuplicateKey(f"key {key[:_SHOWN]!r} is given twice")
        found[key] = value
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases, with the scalars of YAML 1.2 and unique text keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        # Looked at before it is composed: the parent would follow an alias, and recurse into what nests too deeply.
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        refusals = (
            (isinstance(event, AliasEvent), "aliases (*name) are not accepted"),
            (getattr(event, "tag", None) not in (None, "!"), "tags (!!name) are not accepted"),
            (self.depth > MAX_DEPTH, "nested too deeply"),
        )
        for refused, reason in refusals:
            if refused:
                raise yaml.composer.ComposerError(None, None, reason, event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        # PyYAML lets the last of two equal keys win. `<<` is text here, since the resolver of merge keys is left out.
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, "a key is not text", key_node.start_mark)
            if key in seen:
                problem = f"key {key[:_SHOWN]!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _decimal(loader: _PlainLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    if len(text) > MAX_KEY:
        raise yaml.constructor.ConstructorError(None, None, "a number is too long", node.start_mark)
    # Leading zeros are decimal as in YAML 1.2; PyYAML's own reader takes 010 for eight and 1:30 for ninety.
    return int(text)


def _float(loader: _PlainLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node))


# Nothing for dates, sexagesimals, `yes` and `no`: what matches none of these is text.
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)
_PlainLoader.add_constructor("tag:yaml.org,2002:int", _decimal)
_PlainLoader.add_constructor("tag:yaml.org,2002:float", _float)
