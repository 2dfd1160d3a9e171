"""Headers that every answer has: of routes, refusals and what does not exist."""

import base64
import hashlib
import re

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.responses import HTMLResponse

from mstar_web.app import base_app
from mstar_web.headers import HEADERS
from web_bench import BenchSettings, ask


@pytest.fixture
def app() -> FastAPI:
    app = base_app("bench", "1", BenchSettings(internal_key=SecretStr("k")), not_ready=lambda: None)

    @app.get("/page")
    async def page() -> HTMLResponse:
        return HTMLResponse("<p>", headers={"Content-Security-Policy": "default-src 'self'"})

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    return app


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [("/livez", "", 200), ("/metrics", "k", 200), ("/page", "", 401), ("/nowhere", "k", 404), ("/broken", "k", 500)],
)
def test_every_answer_has_them(app: FastAPI, path: str, key: str, status: int) -> None:
    answer = ask(app, "GET", path, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_a_refused_host_has_them_too() -> None:
    app = base_app("bench", "1", BenchSettings(), not_ready=lambda: None)
    answer = ask(app, "GET", "/livez", headers={"host": "evil.example"})
    assert answer.status_code == 421 and answer.headers["x-content-type-options"] == "nosniff"


def test_a_policy_of_a_pages_own_stays(app: FastAPI) -> None:
    answer = ask(app, "GET", "/page", headers={"authorization": "Bearer k"})
    assert answer.headers["content-security-policy"] == "default-src 'self'"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_documentation_runs_the_script_that_it_came_with(app: FastAPI, path: str) -> None:
    answer = ask(app, "GET", path, headers={"authorization": "Bearer k"})
    policy = answer.headers["content-security-policy"]
    assert "'unsafe-inline'" not in policy.split("style-src")[0] and "'self'" in policy
    for script in re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL):
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    for loaded in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        assert loaded.startswith("/") or loaded.startswith("data:")
