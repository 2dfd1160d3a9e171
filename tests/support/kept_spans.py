"""Spans as tests look at them: kept in memory, or received by a small OTLP collector on a socket."""

import contextlib
import gzip
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from handler_server import HandlerServer, QuietHandler
from mstar import tracing
from mstar_web.otlp import OtlpTracer


@dataclass(frozen=True)
class KeptSpan:
    """One span that has ended."""

    trace: str
    id: str
    parent: str | None
    service: str
    name: str
    values: dict[str, Any]
    failed: bool


class Kept:
    """What a tracer in this process has kept."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def spans(self) -> list[KeptSpan]:
        """In the order in which they ended."""
        return [
            KeptSpan(
                trace=f"{one.context.trace_id:032x}",
                id=f"{one.context.span_id:016x}",
                parent=None if one.parent is None else f"{one.parent.span_id:016x}",
                service=str(one.resource.attributes["service.name"]),
                name=one.name,
                values=dict(one.attributes or {}),
                failed=not one.status.is_ok and not one.status.is_unset,
            )
            for one in self.exporter.get_finished_spans()
        ]

    def wait(self, count: int, seconds: float = 20.0) -> list[KeptSpan]:
        """All of them, as soon as there are so many."""
        end = time.monotonic() + seconds
        while len(found := self.spans()) < count:
            assert time.monotonic() < end, found
            time.sleep(0.01)
        return found

    def named(self, name: str) -> list[KeptSpan]:
        return [one for one in self.spans() if one.name == name]


@contextlib.contextmanager
def kept_spans(service: str = "bench") -> Iterator[Kept]:
    """The spans of this process while the block runs."""
    kept = Kept()
    tracer = OtlpTracer(service, SimpleSpanProcessor(kept.exporter))
    tracing.install(tracer)
    try:
        yield kept
    finally:
        tracing.install(None)
        tracer.close()


class Collector(HandlerServer):
    """Takes `POST /v1/traces` in protobuf, as every OTLP collector does."""

    def __init__(self) -> None:
        received: list[KeptSpan] = []

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = self.body()
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    received.extend(_decoded(body))
                self.reply(200 if self.path == "/v1/traces" else 404, b"", "application/x-protobuf")

        self.received = received
        super().__init__(Handler)


def _decoded(body: bytes) -> Iterator[KeptSpan]:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _values(group.resource.attributes)
        for scope in group.scope_spans:
            for one in scope.spans:
                yield KeptSpan(
                    trace=one.trace_id.hex(),
                    id=one.span_id.hex(),
                    parent=one.parent_span_id.hex() or None,
                    service=resource["service.name"],
                    name=one.name,
                    values=_values(one.attributes),
                    failed=one.status.code == 2,
                )


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
