"""Requests declared once: called on a client that waits for the answer, awaited on one that does not.

An operation is a method that says what to send and what comes back. Declared in a class, it is that method of every
client below the class, with the signature that its kind of client gives it; type checkers see both.
"""

import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from pydantic import BaseModel

from mstar.http_json import Target

REPEATABLE_METHODS = frozenset({"GET", "PUT", "DELETE"})
"""Idempotent by definition (RFC 9110, section 9.2.2)."""
Parameters = ParamSpec("Parameters")
Reply = TypeVar("Reply", bound=BaseModel)


@dataclass(frozen=True)
class Call(Generic[Reply]):
    """One request with the shape of its answer."""

    reply: type[Reply]
    target: Target
    method: str
    path: str
    body: BaseModel | None = None
    params: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    timeout: float | None = None
    """Seconds; None for the client's own."""
    files: Mapping[str, Any] | None = None
    """Parts of a form that is sent instead of `body`."""
    computes: bool = False
    """Whether it is a POST that changes nothing, such as a score."""

    @property
    def repeatable(self) -> bool:
        """Whether a second arrival changes nothing more than the first."""
        # With a key the server answers a second arrival with what the first has made.
        return self.method in REPEATABLE_METHODS or self.computes or "Idempotency-Key" in (self.headers or {})

    def arguments(self) -> dict[str, Any]:
        """What `mstar.http_json.request_arguments` takes besides target, method and path."""
        names = ("body", "params", "headers", "timeout", "files")
        return {name: getattr(self, name) for name in names}


class Waiting(Protocol):
    """A client that returns the answer."""

    def perform(self, call: Call[Reply]) -> Reply:
        """The answer to a call. Raises what the service answers with."""


class Awaiting(Protocol):
    """A client whose answer is awaited."""

    def perform_async(self, call: Call[Reply]) -> Awaitable[Reply]:
        """The answer to a call. Raises what the service answers with."""


class operation(Generic[Parameters, Reply]):
    """Turns a method that builds a call into one that performs it."""

    def __init__(self, build: Callable[Concatenate[Any, Parameters], Call[Reply]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, client: Waiting, owner: type[Any] | None = None) -> Callable[Parameters, Reply]: ...
    @overload
    def __get__(self, client: Awaiting, owner: type[Any] | None = None) -> Callable[Parameters, Awaitable[Reply]]: ...
    @overload
    def __get__(self, client: None, owner: type[Any]) -> Callable[Concatenate[Any, Parameters], Call[Reply]]: ...
    def __get__(self, client: Any, owner: type[Any] | None = None) -> Callable[..., Any]:
        """The method bound to a client; the call that it would make where a class is asked."""
        if client is None:
            return self._build
        # By what the client can do and not by its class: both kinds inherit the same declarations.
        perform = client.perform if hasattr(client, "perform") else client.perform_async

        @functools.wraps(self._build)
        def performed(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Any:
            return perform(self._build(client, *args, **kwargs))

        return performed
