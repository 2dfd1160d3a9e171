"""What the scoring hook of `helm test` says of each thing that it may find at the PRM's address."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from chart_bench import CHART, OPENING, named, pods, render
from mstar.api.prm import ScoreRequest
from s3_server import ACCESS, Bucket, s3_server

SCORED = {"results": [{"steps": [{"score": 0.5}] * 3}, {"steps": [{"score": 0.1}] * 2}], "model_version": "abc"}


def hook(url: str) -> "subprocess.CompletedProcess[str]":
    """The hook of the chart, with the environment that its pod gives it."""
    (container,) = pods(render())["demo-mstar-test-score"]["containers"]
    given = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    environment = os.environ | given | {"PRM_URL": url, "SCORE_KEY": "k"}
    command = [sys.executable, *container["command"][1:]]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@contextmanager
def prm(status: int, body: str, **headers: str) -> Iterator[str]:
    """A PRM that answers everything with the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_scores_are_shown() -> None:
    with prm(200, json.dumps(SCORED)) as url:
        done = hook(url)
    assert done.returncode == 0 and done.stdout.startswith("abc: [[0.5")


@pytest.mark.parametrize("body", ['{"detail": "no weights are loaded yet"}', "no weights are loaded yet"])
def test_a_prm_without_weights_is_right_when_it_says_when_to_come_back(body: str) -> None:
    with prm(503, body, Retry_After="5") as url:
        done = hook(url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "no weights are loaded yet; run this again while a run scores\n"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (503, '{"detail": "no weights"}', "503: no weights"),
        (401, '{"detail": "a key is needed"}', "401: a key is needed"),
        (502, "<html>", "502: <html>"),
        (200, json.dumps(SCORED | {"results": []}), "not one score a step: []"),
    ],
)
def test_anything_else_fails_with_what_was_said(status: int, body: str, said: str) -> None:
    with prm(status, body) as url:
        done = hook(url)
    assert (done.returncode, done.stderr) == (1, said + "\n")


def test_nobody_at_the_address_is_a_failure_in_words() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        # Bound, and nobody listens.
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        done = hook(url)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith(f"nobody answers at {url}/v1/score: ") and "refused" in done.stderr


def test_the_fixture_is_a_request() -> None:
    body = json.loads((CHART / "hooks" / "score.json").read_text())
    assert len(ScoreRequest.model_validate(body).responses) == 2


@pytest.mark.parametrize(
    ("values", "unready", "asked"),
    [
        ({"gpuSharing": {"mode": "dedicated"}}, True, "prm"),
        ({"gpuSharing": {"mode": "dedicated"}, "prm": {"replicas": 2}}, False, "prm-replicas"),
        ({"gpuSharing": {"mode": "dedicated"}, "scoring": {"own": True, "model": "/data/m"}}, False, "prm"),
        ({}, False, "prm"),
        ({"prm": {"replicas": 2}}, False, "prm"),
    ],
)
def test_before_the_first_run_somebody_is_at_the_address_that_the_hook_asks(
    values: dict[str, Any], unready: bool, asked: str
) -> None:
    objects = render(values)
    service = named(objects, "Service")["demo-mstar-prm"]["spec"]
    assert service.get("publishNotReadyAddresses", False) is unready
    (container,) = pods(objects)["demo-mstar-test-score"]["containers"]
    assert {"name": "PRM_URL", "value": f"http://demo-mstar-{asked}:8402"} in container["env"]


def test_one_hook_reads_from_the_bucket_what_another_has_written_and_says_when_there_is_nothing() -> None:
    found = pods(render(OPENING["object store"]))
    hooks = {way: found[f"demo-mstar-test-storage-{way}"]["containers"][0]["command"] for way in ("write", "read")}
    path = {"PYTHONPATH": str(CHART.parents[1] / "shared")}

    def done(way: str, bucket: Bucket) -> int:
        environment = ACCESS | path | {"URL": bucket.url, "ENDPOINT": bucket.endpoint}
        command = [sys.executable, *hooks[way][1:]]
        return subprocess.run(command, env=environment, capture_output=True, timeout=60).returncode

    with s3_server() as endpoint:
        bucket = Bucket(endpoint)
        assert [done("read", bucket), done("write", bucket), done("read", bucket)] == [1, 0, 0]
