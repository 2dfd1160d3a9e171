"""Every route × method × role × project against 401, 403 and 404, from the app itself: a new route is covered at once.

A new path parameter needs an owner (`mstar_coordinator.api.owners`). What another project owns: `test_other_projects`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from coordinator_bench import SMALL
from door_bench import bearer, door, make_key
from mstar.api.keys import Role
from mstar_coordinator.api.owners import ELSEWHERE, OWNERS
from web_bench import talk

OPEN = {"/livez", "/readyz", "/sign-in", "/v1/session/sign-in"}
PEOPLE, WRITERS = {Role.READ, Role.RUN_ADMIN}, {Role.RUN_ADMIN}
EVERYONE = set(Role) - {Role.METRICS}
RULES: tuple[tuple[str, str, set[Role]], ...] = (
    (r"/metrics", "GET", {Role.METRICS, Role.INTERNAL, Role.RUN_ADMIN}),
    (r"/v1/(keys|audit|sessions).*", ".*", WRITERS),
    (r"/(docs|redoc|openapi.json|v1/session).*", ".*", EVERYONE),
    (r"(/v1|/v2)?/(score|rerank|pooling|models)", ".*", {Role.SCORE}),
    (r"/v1/(files|batches).*", ".*", {Role.SCORE, Role.RUN_ADMIN}),
    (r"/internal/.*", ".*", {Role.INTERNAL}),
    (r"/v1/.*", "GET", PEOPLE | {Role.INTERNAL}),
    (r"/v1/.*", ".*", WRITERS),
    (r"/scoring", ".*", PEOPLE | {Role.SCORE}),
    (r"/.*", ".*", PEOPLE),
)
"""Path, method, roles; the first that fits."""
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND")


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "small.yaml").write_text(SMALL.model_dump_json())
    relayed = {"prm_url": "http://127.0.0.1:9", "score_key": SecretStr("k-score")}
    return door(tmp_path, recipes_folder=tmp_path / "recipes", **relayed)


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path template of every route: of the OpenAPI document, and of the pages beside it."""
    for path, methods in app.openapi()["paths"].items():
        yield from ((method.upper(), path) for method in methods)
    for route in iter_route_contexts(app.routes):
        if not getattr(route, "include_in_schema", True):
            yield from ((method, route.path) for method in sorted((route.methods or set()) - {"HEAD"}))


def allowed(method: str, path: str) -> set[Role]:
    return next(
        roles for pattern, methods, roles in RULES if re.fullmatch(pattern, path) and re.fullmatch(methods, method)
    )


async def send(client: httpx2.AsyncClient, method: str, path: str, key: str = "", **options: Any) -> httpx2.Response:
    body = {} if method in ("GET", "HEAD") else {"content": "{}"}
    return await client.request(method, path, headers=bearer(key) if key else {}, **body, **options)


async def start(client: httpx2.AsyncClient, key: str) -> str:
    body = {"recipe": json.loads(SMALL.model_dump_json())}
    answer = await client.post("/v1/runs", json=body, headers=bearer(key))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def start_study(client: httpx2.AsyncClient, key: str) -> str:
    study = {"name": "mine", "base": "small", "arms": {"a": {}, "b": {"seed": 3}}, "seeds": [0]}
    answer = await client.post("/v1/studies", json={"study": study}, headers=bearer(key))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_every_path_parameter_has_an_owner(app: FastAPI) -> None:
    # What follows in a path is a part of what was named first.
    named = {found[1] for _, path in routes(app) if (found := re.search(r"{(\w+)", path))}
    assert named <= set(OWNERS) | ELSEWHERE


def test_every_route_is_for_its_roles_and_for_nobody_without_a_key(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        keys = {role: (await make_key(client, role, project="blue")).key for role in Role}
        spare = (await make_key(client, "read", project="blue")).id
        values = {
            "run_id": await start(client, keys[Role.RUN_ADMIN]),
            "study_id": await start_study(client, keys[Role.RUN_ADMIN]),
            "key_id": spare,
        }
        found = {(method, path) for method, path in routes(app) if path not in OPEN}
        assert len(found) > 40
        for method, template in sorted(found):
            path = re.sub(r"{(\w+)(:\w+)?}", lambda name: values.get(name[1], "0" * 64), template)
            assert (await send(client, method, path)).status_code == 401, (method, template)
            assert (await send(client, method, path, "k-wrong")).status_code == 401, (method, template)
            for role in sorted(set(Role) - allowed(method, template)):
                answer = await send(client, method, path, keys[role])
                assert answer.status_code == 403, (method, template, role, answer.text)
        for method, template in sorted(found):
            for role in sorted(allowed(method, template)):
                path = re.sub(r"{(\w+)(:\w+)?}", lambda name: values.get(name[1], "0" * 64), template)
                answer = await send(client, method, path, keys[role])
                assert answer.status_code not in (401, 403, 500), (method, template, role, answer.text)

    talk(app, conversation)


def test_a_method_that_no_route_takes_is_no_way_around_a_key(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        for template in sorted({path for _, path in routes(app)} - OPEN):
            for method in METHODS:
                answer = await send(client, method, re.sub(r"{.*?}", "x", template))
                assert answer.status_code == 401, (method, template)

    talk(app, conversation)


def test_another_spelling_is_no_way_around_a_key(app: FastAPI) -> None:
    spellings = (
        *("//v1/runs", "/v1/./runs", "/v1/runs/", "/V1/runs", "/v1%2fruns", "/v1/runs;x=1"),
        *(
            "/files",
            "/filesx",
            "/livez/",
            "/livez/../v1/runs",
            "/files/../v1/runs",
            "/sign-in/",
            "/v1/session/sign-inx",
        ),
    )

    async def conversation(client: httpx2.AsyncClient) -> None:
        for path in spellings:
            for headers in ({}, {"x-http-method-override": "GET"}, {"x-forwarded-prefix": "/livez"}):
                answer = await client.get(httpx2.URL("http://localhost", raw_path=path.encode()), headers=headers)
                assert answer.status_code in (401, 404) and "r-" not in answer.text, path

    talk(app, conversation)


def test_no_list_shows_what_another_project_owns(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        blue = await make_key(client, "run_admin", project="blue")
        run_id, study_id = await start(client, blue.key), await start_study(client, blue.key)
        red = (await make_key(client, "run_admin", project="red")).key
        seen = 0
        for method, template in sorted(set(routes(app))):
            if method == "GET" and "{" not in template and Role.RUN_ADMIN in allowed(method, template):
                text = (await send(client, method, template, red)).text
                assert not any(one in text for one in (run_id, study_id, blue.id)), template
                seen += run_id in (await send(client, method, template, blue.key)).text
        assert seen >= 2  # /v1/runs and /runs

    talk(app, conversation)


def test_workers_do_the_steps_of_every_project(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        run_id = await start(client, (await make_key(client, "run_admin", project="blue")).key)
        steps = (await client.get(f"/v1/runs/{run_id}/steps", headers=bearer("k-inside"))).json()["data"]
        claim = f"/internal/v1/steps/{steps[0]['id']}/claim"
        assert (await client.post(claim, json={"worker": "w"}, headers=bearer("k-inside"))).status_code == 200

    talk(app, conversation)


def test_an_idempotency_key_is_each_projects_own_and_its_answer_lasts(tmp_path: Path) -> None:
    body = {"recipe": json.loads(SMALL.model_dump_json())}
    given: dict[str, tuple[str, str]] = {}

    async def first(client: httpx2.AsyncClient) -> None:
        for project in ("blue", "red", "default"):
            key = (await make_key(client, "run_admin", project=project)).key
            answer = await client.post("/v1/runs", json=body, headers=bearer(key) | {"idempotency-key": "k"})
            given[project] = (key, answer.text)
            await client.post(f"/v1/runs/{answer.json()['id']}/pause", headers=bearer(key))
        assert len({json.loads(text)["id"] for _, text in given.values()}) == 3

    async def again(client: httpx2.AsyncClient) -> None:
        for key, text in given.values():
            headers = bearer(key) | {"idempotency-key": "k"}
            answer = await client.post("/v1/runs", json=body, headers=headers)
            assert (answer.status_code, json.loads(answer.text)) == (202, json.loads(text))
            assert answer.headers["location"] == f"/v1/runs/{json.loads(text)['id']}"
            other = await client.post("/v1/runs", json={"recipe": "demo"}, headers=headers)
            assert (other.status_code, other.json()["code"]) == (422, "idempotency-mismatch")

    talk(door(tmp_path), first)
    talk(door(tmp_path), again)


@pytest.mark.parametrize("path", ["resume", "iterations"])
def test_work_that_is_begun_again_with_its_key_is_begun_once(tmp_path: Path, path: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        run_id = await start(client, "k-run")
        await client.post(f"/v1/runs/{run_id}/pause", headers=bearer("k-run"))
        headers = bearer("k-run") | {"idempotency-key": "k"}
        if path == "iterations":
            await client.post(f"/v1/runs/{run_id}/resume", headers=bearer("k-run"))
        answers = [await client.post(f"/v1/runs/{run_id}/{path}", headers=headers, content="{}") for _ in range(2)]
        assert answers[0].is_success and answers[0].json() == answers[1].json()
        assert answers[1].json()["iterations"] == (2 if path == "iterations" else 1)

    talk(door(tmp_path), conversation)
