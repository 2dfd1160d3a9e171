"""Traces: where a step or a request spends its time, over all processes that work on it.

A span is recorded only once `install` has been given something that keeps spans (`mstar_web.traces`); until then every
call here does nothing. A step has one trace, however often it is tried: its ids follow from the step's id and the
number of the attempt, so that no process has to pass them on. What this leaves out: how spans are kept and sent.
"""

import contextvars
import hashlib
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, ParamSpec, Protocol, TypeVar

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Values = Mapping[str, str | int | float | bool]
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_WORD = re.compile(r"[a-z_-]+|v\d+|")


@dataclass(frozen=True)
class SpanIds:
    """A span by its ids (W3C Trace Context, section 3.2.2)."""

    trace_id: int
    """128 bits."""
    span_id: int
    """64 bits."""


class Span(Protocol):
    """A span that is open."""

    def note(self, name: str, value: str | int | float | bool) -> None:
        """Set an attribute. Never what people or models write: a trace is read by more people than the data."""

    def rename(self, name: str) -> None:
        """Name it by what is known only now."""

    def fail(self, kind: str) -> None:
        """Mark it as failed, with the kind of error."""


class Tracer(Protocol):
    """What keeps spans. Thread-safe."""

    def span(
        self, name: str, kind: Kind, values: Values, under: SpanIds | Mapping[str, str] | None, at: SpanIds | None
    ) -> AbstractContextManager[Span]:
        """See `span` of this module."""

    def past(self, name: str, values: Values, under: SpanIds, began: float, ended: float) -> None:
        """See `past` of this module."""

    def joined(self, place: SpanIds) -> AbstractContextManager[None]:
        """See `joined` of this module."""

    def here(self) -> SpanIds | None:
        """The span that is open in this thread or task."""

    def headers(self) -> dict[str, str]:
        """Headers that carry it to another process."""


class _Nothing:
    def note(self, name: str, value: str | int | float | bool) -> None:
        pass

    def rename(self, name: str) -> None:
        pass

    def fail(self, kind: str) -> None:
        pass


_NOTHING = _Nothing()
_tracer: Tracer | None = None


def install(tracer: Tracer | None) -> None:
    """Keep the spans of this process; None keeps none from now on."""
    global _tracer
    _tracer = tracer


def is_on() -> bool:
    """Whether spans are kept."""
    return _tracer is not None


def span(
    name: str,
    *,
    kind: Kind = "internal",
    values: Values | None = None,
    under: SpanIds | Mapping[str, str] | None = None,
    at: SpanIds | None = None,
) -> AbstractContextManager[Span]:
    """A span that lasts as long as the block; an exception that leaves the block marks it as failed.

    `under`: its parent, or the headers that may name one; without it the span that is open here. `at`: its own ids, for
    a span that others refer to without having been told.
    """
    return nullcontext(_NOTHING) if _tracer is None else _tracer.span(name, kind, values or {}, under, at)


def inner(name: str, *, kind: Kind = "internal", values: Values | None = None) -> AbstractContextManager[Span]:
    """The same inside a span that is open here; where there is none, nothing is recorded."""
    return nullcontext(_NOTHING) if here() is None else span(name, kind=kind, values=values)


def past(name: str, *, values: Values, under: SpanIds, began: float, ended: float) -> None:
    """Record a span that is over. Times are seconds since the epoch."""
    if _tracer is not None:
        _tracer.past(name, values, under, began, ended)


def joined(place: SpanIds) -> AbstractContextManager[None]:
    """Spans of the block are children of a span of another process."""
    return nullcontext() if _tracer is None else _tracer.joined(place)


def here() -> SpanIds | None:
    """The span that is open in this thread or task."""
    return None if _tracer is None else _tracer.here()


def headers() -> dict[str, str]:
    """Headers of a request that let its receiver join the trace (W3C Trace Context)."""
    return {} if _tracer is None else _tracer.headers()


class JoinedThreads(ThreadPoolExecutor):
    """Threads whose spans are children of the one that was open where their work was handed in."""

    def submit(
        self, fn: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        here = contextvars.copy_context()
        return super().submit(lambda: here.run(fn, *args, **kwargs))


def attempt_place(step_id: str, attempt: int = 1) -> SpanIds:
    """Where a step's attempt is scheduled; the first one's is the root of the step's trace.

    Coordinator and workers derive the same ids, so that a retry on another machine joins the trace.
    """
    trace_id = hashlib.sha256(f"mstar step {step_id}".encode()).digest()[:16]
    span_id = hashlib.sha256(f"mstar step {step_id} attempt {attempt}".encode()).digest()[:8]
    return SpanIds(int.from_bytes(trace_id), int.from_bytes(span_id))


def step_values(run_id: str, step: str, attempt: int) -> Values:
    """Attributes of every span that is about a step, to look it up by."""
    return {"mstar.run": run_id, "mstar.step": step, "mstar.attempt": attempt}


def path_template(path: str) -> str:
    """A path with `{id}` for every part that is not a plain word: a span's name stands for many requests."""
    return "/".join(part if _WORD.fullmatch(part) else "{id}" for part in path.partition("?")[0].split("/"))
