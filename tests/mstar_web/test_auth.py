"""Tests of authentication: every route of an app is closed without the key, except the health checks."""

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.routing import Mount, Route

from mstar.api.keys import Principal, Role
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


@pytest.mark.parametrize(
    "header", ["", "k-123", "Bearer", "Bearer k-12", "Bearer k-1234", "Basic OmstMTIz", "Bearer é"]
)
def test_wrong_keys_are_refused(app: FastAPI, header: str) -> None:
    response = ask(app, "GET", "/things", headers={"authorization": header.encode("latin-1")})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="M-STaR"'
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
    [("GET", "/v1/things", 403, 200), ("PUT", "/v1/things", 200, 403), ("GET", "/metrics", 200, 403)],
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
    assert "use a key of the role internal" in refusal.json()["detail"]
    assert "inside" not in refusal.text


def test_two_headers_are_no_key(app: FastAPI) -> None:
    headers = [("authorization", "Bearer k-123"), ("authorization", "Bearer k-123")]
    assert ask(app, "GET", "/things", headers=headers).status_code == 401


def test_a_key_in_the_address_is_no_key(app: FastAPI) -> None:
    assert ask(app, "GET", "/things?key=k-123&access_token=k-123").status_code == 401


def test_one_key_for_two_roles_has_both(house: FastAPI) -> None:
    settings = HouseSettings(internal_key=SecretStr("same"), score_key=SecretStr("same"))
    app = base_app("bench", "1", settings, lambda: None, rules=(allow("/docs", "score"), allow("/redoc", "internal")))
    for path in ("/docs", "/redoc"):
        assert ask(app, "GET", path, headers={"authorization": "Bearer same"}).status_code == 200


KEY = f"mstar_{'a' * 12}_{'b' * 43}"


class OneKey:
    """A keyring with one key."""

    def __init__(self, *roles: Role) -> None:
        self.principal = Principal(name="one", id="a" * 12, roles=frozenset(roles))

    async def find(self, key: str) -> Principal | None:
        return self.principal if key == KEY else None

    async def close(self) -> None:
        pass


def test_a_key_of_the_keyring_has_its_own_roles() -> None:
    settings = HouseSettings(internal_key=SecretStr("in"), score_key=SecretStr("out"))
    rules = (allow("/docs", "score"), allow("/redoc", "internal"))
    app = base_app("bench", "1", settings, lambda: None, rules=rules, keyring=OneKey(Role.SCORE))
    headers = {"authorization": f"Bearer {KEY}"}
    assert ask(app, "GET", "/docs", headers=headers).status_code == 200
    assert ask(app, "GET", "/redoc", headers=headers).status_code == 403
    assert ask(app, "GET", "/docs", headers={"authorization": f"Bearer {KEY}x"}).status_code == 401


def test_where_no_key_is_asked_for_one_that_is_sent_counts() -> None:
    app = base_app("bench", "1", BenchSettings(), lambda: None, rules=(allow("/docs", "score"),), keyring=OneKey())
    assert ask(app, "GET", "/docs").status_code == 200
    assert ask(app, "GET", "/docs", headers={"authorization": "Bearer none"}).status_code == 200
    assert ask(app, "GET", "/docs", headers={"authorization": f"Bearer {KEY}"}).status_code == 403
