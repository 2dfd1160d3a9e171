"""Whether a process exports its spans, by OpenTelemetry's standard variables.

What this leaves out: the SDK, which is imported only where it has something to do (`otlp`), and the spans (`spans`).
"""

import os
from collections.abc import Mapping

import structlog

from mstar import tracing

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"

_log = structlog.get_logger(__name__)


def export_traces(service: str) -> None:
    """Send this process's spans to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names; without one, do nothing.

    What stands in the way is a warning: a service works without its traces.
    """
    why_not = _hindrance(os.environ)
    if why_not is not None:
        if why_not:
            _log.warning("no traces", detail=why_not)
        return
    try:
        from mstar_web.otlp import OtlpTracer
    except ModuleNotFoundError as missing:
        detail = f"{missing.name} is not installed: pip install --group otel, or unset {ENDPOINTS[1]}"
        _log.warning("no traces", detail=detail)
        return
    tracing.install(OtlpTracer(service))


def _hindrance(environment: Mapping[str, str]) -> str | None:
    """Why no traces are exported: "" where nobody asks for them, None where they are."""
    endpoint = next((name for name in ENDPOINTS if environment.get(name)), None)
    disabled = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if endpoint is None or disabled or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return ""
    wanted = next((environment[name] for name in PROTOCOLS if environment.get(name)), PROTOCOL)
    if wanted != PROTOCOL:
        return f"the protocol {wanted[:40]!r} is not supported: set {PROTOCOLS[1]}={PROTOCOL}, or unset it"
    if not environment[endpoint].startswith(("http://", "https://")):
        return f"{endpoint} is not a URL: write http://HOST:4318"
    return None
