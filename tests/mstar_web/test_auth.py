"""Tests of authentication: every route of an app is closed without the key, except the health checks."""

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.routing import Mount, Route

from mstar_web.app import base_app
from mstar_web.auth import allow
from web_bench import BenchSettings, HouseSettings, ask


@pytest.fixture
def app() -> FastAPI:
    app = base_app("bench", "1", BenchSettings(internal_key=SecretStr("k-123")), not_ready=lambda: None)

    @app.get("/things")
    async def things() -> list[str]:
        return ["thing"]

    return app


def test_every_route_is_closed_but_the_health_checks(app: FastAPI) -> None:
    open_paths = set()
    for route in app.routes:
        assert isinstance(route, Route | Mount)
        if ask(app, "GET", route.path).status_code != 401:
            open_paths.add(route.path)
    assert open_paths == {"/livez", "/readyz"}
    assert ask(app, "GET", "/no-such-route").status_code == 401


@pytest.mark.parametrize("header", ["", "k-123", "Bearer", "Bearer k-12", "Bearer k-1234", "Basic k-123", "Bearer é"])
def test_wrong_keys_are_refused(app: FastAPI, header: str) -> None:
    response = ask(app, "GET", "/things", headers={"authorization": header.encode("latin-1")})
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer, Basic realm=")
    assert "k-123" not in response.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_key_opens(app: FastAPI, scheme: str) -> None:
    assert ask(app, "GET", "/things", headers={"authorization": f"{scheme} k-123"}).json() == ["thing"]


def test_the_scheme_is_documented(app: FastAPI) -> None:
    document = ask(app, "GET", "/openapi.json", headers={"authorization": "Bearer k-123"}).json()
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"


@pytest.fixture
def house() -> FastAPI:
    settings = HouseSettings(internal_key=SecretStr("inside"), score_key=SecretStr("outside"))
    rules = (allow("/v1/", "score", methods=["GET"]), allow("/v1/", "internal"))
    app = base_app("bench", "1", settings, not_ready=lambda: None, rules=rules)

    @app.api_route("/v1/things", methods=["GET", "PUT"])
    async def things() -> list[str]:
        return ["thing"]

    return app


@pytest.mark.parametrize(
    ("method", "path", "inside", "outside"),
    [("GET", "/v1/things", 403, 200), ("PUT", "/v1/things", 200, 403), ("GET", "/metrics", 200, 200)],
)
def test_a_rule_is_for_the_keys_of_its_roles(house: FastAPI, method: str, path: str, inside: int, outside: int) -> None:
    for key, status in (("inside", inside), ("outside", outside), ("neither", 401)):
        assert ask(house, method, path, headers={"authorization": f"Bearer {key}"}).status_code == status


def test_the_key_for_metrics_reads_nothing_else() -> None:
    settings = HouseSettings(internal_key=SecretStr("in"), score_key=SecretStr("out"), metrics_key=SecretStr("scrape"))
    app = base_app("bench", "1", settings, not_ready=lambda: None, rules=(allow("/v1/", "internal"),))
    headers = {"authorization": "Bearer scrape"}
    paths = [route.path for route in app.routes if isinstance(route, Route)] + ["/v1/things", "/elsewhere"]
    opened = {path for path in paths if ask(app, "GET", path, headers=headers).status_code == 200}
    assert opened == {"/livez", "/readyz", "/metrics"}
    assert ask(app, "GET", "/openapi.json", headers=headers).status_code == 403


def test_a_refusal_names_the_role_and_no_key(house: FastAPI) -> None:
    refusal = ask(house, "PUT", "/v1/things", headers={"authorization": "Bearer outside"})
    assert "use the key of internal" in refusal.json()["detail"]
    assert "inside" not in refusal.text
