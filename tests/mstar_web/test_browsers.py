"""Web pages of strangers can't use a service through a browser: hosts, origins and content types."""

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from mstar_web.app import base_app
from web_bench import BenchSettings, ask, talk


def app_with(settings: BenchSettings) -> FastAPI:
    app = base_app("bench", "1", settings, not_ready=lambda: None)

    @app.post("/runs/{name}/cancel")
    async def cancel(name: str) -> str:
        return name

    return app


def cancel(settings: BenchSettings, **headers: str) -> httpx2.Response:
    return ask(app_with(settings), "POST", "/runs/a/cancel", headers=headers)


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8400", "LocalHost", "127.0.0.1:8400", "127.9.9.9", "[::1]:8400", "prm.lan", "a.b.org"],
)
def test_own_names_are_answered(host: str) -> None:
    assert cancel(BenchSettings(allowed_hosts="prm.lan, *.b.org"), host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.5",
        "localhost@evil.example",
        "localhost/x",
        "x/livez?",
        "a#",
        "[::1",
    ],
)
@pytest.mark.parametrize("path", ["/runs/a/cancel", "/livez", "/docs", "/openapi.json"])
def test_other_hosts_are_refused_on_every_path(host: str, path: str) -> None:
    method = "POST" if path.endswith("cancel") else "GET"
    refused = ask(app_with(BenchSettings()), method, path, headers={"host": host})
    assert (refused.status_code, refused.json()["code"]) == (421, "misdirected-request")


def test_with_keys_any_name_is_answered_unless_some_are_listed() -> None:
    key = {"authorization": "Bearer k"}
    keyed = BenchSettings(internal_key=SecretStr("k"))
    assert cancel(keyed, host="prm.example.org", **key).status_code == 200
    listed = BenchSettings(internal_key=SecretStr("k"), allowed_hosts="prm.example.org")
    assert cancel(listed, host="prm.example.org", **key).status_code == 200
    assert cancel(listed, host="evil.example", **key).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"origin": "file://localhost"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
)
def test_pages_of_other_origins_are_refused(headers: dict[str, str]) -> None:
    assert cancel(BenchSettings(), **headers).status_code == 403


def test_the_service_s_own_pages_are_answered() -> None:
    assert cancel(BenchSettings(), host="localhost:8400", origin="http://localhost:8400").status_code == 200


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"])
def test_a_change_is_declared_as_json_also_without_a_body(kind: str) -> None:
    refused = cancel(BenchSettings(), **{"content-type": kind})
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported-media-type")


@pytest.mark.parametrize("kind", ["application/json", "application/JSON; charset=utf-8", "application/ld+json"])
def test_kinds_of_json_are_taken(kind: str) -> None:
    assert cancel(BenchSettings(), **{"content-type": kind}).status_code == 200


def test_a_slash_too_many_is_not_found_and_redirects_nowhere() -> None:
    answer = ask(app_with(BenchSettings()), "POST", "/runs/a/cancel/")
    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_made_up_methods_share_one_label() -> None:
    async def conversation(client: httpx2.AsyncClient) -> str:
        for number in range(50):
            await client.request(f"MADEUP{number}", "/livez")
        return (await client.get("/metrics")).text

    text = talk(app_with(BenchSettings()), conversation)
    assert "MADEUP" not in text
    assert 'mstar_http_requests_total{method="other"' in text


@pytest.mark.parametrize("method", ["PUT", "TRACE", "DELETE", "OPTIONS", "GET"])
def test_a_method_that_a_path_lacks_is_a_405_that_lists_those_it_has(method: str) -> None:
    app = app_with(BenchSettings())

    @app.patch("/runs/{name}/cancel")
    async def again(name: str) -> str:
        return name

    refused = ask(app, method, "/runs/a/cancel")
    assert (refused.status_code, refused.headers["allow"]) == (405, "PATCH, POST")


def test_a_path_that_is_not_there_is_a_404_whatever_is_sent() -> None:
    assert ask(app_with(BenchSettings()), "POST", "/no-such-path").status_code == 404
