"""Spans of services: off unless asked for, one trace from caller to service, and never what a caller sent."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import structlog
from fastapi import FastAPI
from pydantic import BaseModel

from kept_spans import Kept, kept_spans
from mstar import tracing
from mstar.errors import Conflict, MstarError
from mstar.http_json import Sender, Target
from mstar.tracing import attempt_place
from mstar_web.app import base_app
from mstar_web.logs import configure_logs
from mstar_web.spans import INTERNAL
from mstar_web.traces import export_traces
from web_bench import BenchSettings, ask, serving

CALLER = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
ROOT = Path(__file__).parents[2]


class Said(BaseModel):
    text: str = ""


@pytest.fixture
def kept() -> Iterator[Kept]:
    with kept_spans() as kept:
        yield kept


@pytest.fixture
def app() -> FastAPI:
    app = base_app("mstar-bench", "1", BenchSettings(), lambda: None)

    @app.post("/v1/echo/{name}")
    def echo(name: str, said: Said) -> Said:
        structlog.get_logger("echo").info("echoed")
        return said

    @app.post(f"{INTERNAL}v1/steps/{{step_id}}/heartbeat")
    def beat(step_id: str) -> Said:
        return Said()

    @app.get("/v1/conflict")
    def conflict() -> Said:
        raise Conflict("sesame is taken")

    @app.get("/v1/broken")
    def broken() -> Said:
        raise ValueError("sesame is broken")

    return app


def test_without_the_variable_nothing_of_the_export_is_imported() -> None:
    code = (
        "import sys, mstar_web.app, mstar_web.serve; from mstar_web.traces import export_traces;"
        "export_traces('x'); from mstar import tracing; "
        # redis-py imports the SDK by itself, where it is installed.
        "print(tracing.is_on(), {'mstar_web.otlp', 'opentelemetry.exporter'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'services'}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.split() == ["False", "set()"]


@pytest.mark.parametrize(
    ("set_to", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "the protocol 'grpc' is not supported"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL"),
        ({"OTEL_TRACES_EXPORTER": "none"}, ""),
        ({"OTEL_SDK_DISABLED": "true"}, ""),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, ""),
    ],
)
def test_what_stands_in_the_way_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], set_to: dict[str, str], said: str
) -> None:
    for name, value in ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"} | set_to).items():
        monkeypatch.setenv(name, value)
    configure_logs("mstar-bench")
    export_traces("mstar-bench")
    lines = capsys.readouterr().err.splitlines()
    assert not tracing.is_on()
    assert len(lines) == bool(said) and said in "".join(lines)


def test_a_request_joins_the_trace_that_its_headers_name(app: FastAPI, kept: Kept) -> None:
    ask(app, "POST", "/v1/echo/anna", json={"text": "sesame"}, headers={"traceparent": CALLER})
    (span,) = kept.spans()
    assert (span.trace, span.parent) == ("a" * 32, "b" * 16)
    assert span.name == "POST /v1/echo/{name}"
    assert span.values == {
        "http.request.method": "POST",
        "http.route": "/v1/echo/{name}",
        "http.response.status_code": 200,
    }


@pytest.mark.parametrize("given", ["", "garbage", "00-" + "0" * 32 + "-" + "b" * 16 + "-01", "ff-" + CALLER[3:]])
def test_headers_that_name_no_span_begin_a_trace(app: FastAPI, kept: Kept, given: str) -> None:
    answer = ask(app, "POST", "/v1/echo/anna", json={}, headers={"traceparent": given})
    (span,) = kept.spans()
    assert answer.status_code == 200 and span.parent is None and span.trace != "a" * 32


def test_nothing_that_a_caller_or_an_error_says_is_kept(app: FastAPI, kept: Kept) -> None:
    configure_logs("mstar-bench")
    said = {"json": {"text": "sesame"}, "headers": {"authorization": "Bearer sesame", "x-sesame": "sesame"}}
    ask(app, "POST", "/v1/echo/sesame?q=sesame", **said)
    ask(app, "SESAME", "/v1/echo/sesame")
    ask(app, "GET", "/sesame")
    ask(app, "GET", "/v1/conflict")
    ask(app, "GET", "/v1/broken")
    names = {one.name: one.failed for one in kept.spans()}
    assert names == {
        "POST /v1/echo/{name}": False,
        "other /v1/echo/{name}": False,
        "GET unmatched": False,
        "GET /v1/conflict": False,
        "GET /v1/broken": True,
    }
    assert all("sesame" not in one.to_json() for one in kept.exporter.get_finished_spans())


def test_health_and_heartbeats_outside_a_trace_leave_no_span(app: FastAPI, kept: Kept) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        ask(app, "GET", path, headers={"traceparent": CALLER})
    ask(app, "POST", f"{INTERNAL}v1/steps/s/heartbeat", json={})
    assert kept.spans() == []
    ask(app, "POST", f"{INTERNAL}v1/steps/s/heartbeat", json={}, headers={"traceparent": CALLER})
    assert len(kept.spans()) == 1


def test_a_call_of_the_shared_client_is_a_span_above_the_services(app: FastAPI, kept: Kept) -> None:
    sender = Sender(httpx2.Timeout(20))
    with serving(app) as url:
        target = Target(url, "sesame")
        sender.send(target, "POST", "/v1/echo/anna", Said, body=Said(text="sesame"))
        assert [one.name for one in kept.wait(1)] == ["POST /v1/echo/{name}"]
        with tracing.span("work"):
            sender.send(target, "POST", "/v1/echo/anna", Said, body=Said(text="sesame"))
            with pytest.raises(MstarError):
                sender.send(target, "GET", "/v1/conflict", Said)
        # A service's span ends a moment after its answer is there.
        kept.wait(6)
    sender.close()
    (work,) = kept.named("work")
    calls = [one for one in kept.spans() if one.parent == work.id]
    assert [(one.name, one.values["http.response.status_code"]) for one in calls] == [
        ("POST /v1/echo/anna", 200),
        ("GET /v1/conflict", 409),
    ]
    assert calls[1].failed and calls[1].values["error.type"] == "conflict"
    served = [one for one in kept.spans() if one.parent in {call.id for call in calls}]
    assert {one.trace for one in served} == {work.trace} and len(served) == 2


def test_log_lines_carry_the_ids_of_the_trace(app: FastAPI, kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("mstar-bench")
    ask(app, "POST", "/v1/echo/anna", json={}, headers={"traceparent": CALLER})
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    ours = {line["event"]: line for line in lines if line["event"] in ("echoed", "request")}
    assert len(ours) == 2
    (span,) = kept.spans()
    for line in ours.values():
        assert (line["trace_id"], line["span_id"]) == ("a" * 32, span.id)


@pytest.mark.parametrize(("share", "spans"), [("1", 2), ("0", 0)])
def test_the_sampler_decides_alike_for_derived_traces(monkeypatch: pytest.MonkeyPatch, share: str, spans: int) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", share)
    with kept_spans() as kept:
        with tracing.span("schedule", at=attempt_place("s")):
            pass
        with tracing.span("step", under=attempt_place("s")):
            pass
    assert len(kept.spans()) == spans


def test_the_operators_name_of_the_service_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, shown in (("", "mstar-bench"), ("teachers", "teachers")):
        monkeypatch.setenv("OTEL_SERVICE_NAME", name)
        with kept_spans("mstar-bench") as kept, tracing.span("a"):
            pass
        assert kept.spans()[0].service == shown
