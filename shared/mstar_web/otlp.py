"""Keeps spans with the OpenTelemetry SDK and sends them by OTLP over HTTP. Imported only where traces are exported.

Endpoint, headers, sampler and limits are what the SDK reads from its standard `OTEL_…` variables.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mstar.errors import MstarError
from mstar.tracing import Kind, Span, SpanIds, Values

_wanted: ContextVar[SpanIds | None] = ContextVar("wanted", default=None)
"""Ids of the span that is being made, where they are given."""


class OtlpTracer:
    """A `Tracer` over the SDK. Nothing waits for the collector: what it does not take in time is dropped."""

    def __init__(self, service: str, processor: SpanProcessor | None = None) -> None:
        """`service`: the name under which the spans are shown. `processor`: a test's, instead of the export."""
        resource = Resource({"service.name": service, "service.namespace": "mstar"})
        # What the operator names in OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES goes before it.
        self._provider = TracerProvider(id_generator=_Ids(), resource=resource.merge(_from_environment()))
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("mstar")
        self._propagator = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Send what is left. Also done at the process's end."""
        self._provider.shutdown()

    @contextmanager
    def span(
        self, name: str, kind: Kind, values: Values, under: SpanIds | Mapping[str, str] | None, at: SpanIds | None
    ) -> Iterator[Span]:
        """See `mstar.tracing.span`."""
        token = _wanted.set(at)
        try:
            parent = contexts.Context() if under is None and at is not None else self._parent(under)
            made = self._tracer.start_span(name, parent, trace.SpanKind[kind.upper()], dict(values))
        finally:
            _wanted.reset(token)
        opened = _OpenSpan(made)
        # The text of an exception may quote what people wrote, so only its kind is kept.
        with trace.use_span(made, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield opened
            except BaseException as error:
                opened.fail(error.code if isinstance(error, MstarError) else type(error).__name__)
                raise

    def past(self, name: str, values: Values, under: SpanIds, began: float, ended: float) -> None:
        """See `mstar.tracing.past`."""
        start, end = (int(seconds * 1e9) for seconds in (began, ended))
        made = self._tracer.start_span(name, self._parent(under), attributes=dict(values), start_time=start)
        # The database's clock may have been put back between the two.
        made.end(max(start, end))

    @contextmanager
    def joined(self, place: SpanIds) -> Iterator[None]:
        """See `mstar.tracing.joined`."""
        token = contexts.attach(self._within(place))
        try:
            yield
        finally:
            contexts.detach(token)

    def here(self) -> SpanIds | None:
        """The span that is open in this thread or task."""
        found = trace.get_current_span().get_span_context()
        return SpanIds(found.trace_id, found.span_id) if found.is_valid else None

    def headers(self) -> dict[str, str]:
        """Headers that carry it to another process."""
        made: dict[str, str] = {}
        self._propagator.inject(made)
        return made

    def _parent(self, under: SpanIds | Mapping[str, str] | None) -> contexts.Context | None:
        if under is None:
            return None
        if isinstance(under, SpanIds):
            return self._within(under)
        return self._propagator.extract(under, contexts.Context())

    def _within(self, place: SpanIds) -> contexts.Context:
        # Whoever derives ids by itself was not told whether the trace is kept: the sampler decides by the trace's id,
        # alike in every process.
        asked = self._provider.sampler.should_sample(contexts.Context(), place.trace_id, "step")
        sampled = asked.decision is Decision.RECORD_AND_SAMPLE
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else trace.TraceFlags.DEFAULT)
        parent = trace.SpanContext(place.trace_id, place.span_id, is_remote=True, trace_flags=flags)
        return trace.set_span_in_context(trace.NonRecordingSpan(parent), contexts.Context())


class _OpenSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, name: str, value: str | int | float | bool) -> None:
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(trace.StatusCode.ERROR)


class _Ids(RandomIdGenerator):
    """Ids that are given for a span, else random ones."""

    def generate_trace_id(self) -> int:
        wanted = _wanted.get()
        return super().generate_trace_id() if wanted is None else wanted.trace_id

    def generate_span_id(self) -> int:
        wanted = _wanted.get()
        return super().generate_span_id() if wanted is None else wanted.span_id


def _from_environment() -> Resource:
    """What the standard variables say of this process, without the SDK's guess at a name."""
    found = dict(Resource.create().attributes)
    if str(found.get("service.name", "")).startswith("unknown_service"):
        del found["service.name"]
    return Resource(found)
