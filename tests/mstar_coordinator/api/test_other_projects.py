"""What a project owns is not there for the keys and sessions of another: every route of the app, every kind of id.

The routes come from the app. A new kind of id, or a route whose body has required members, needs an entry here.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import SecretStr

from batch_bench import lines, upload
from coordinator_bench import SMALL
from door_bench import bearer, door, make_key
from finished_evaluation import ASKED, copy_published
from mstar_coordinator.api.owners import ELSEWHERE, OWNERS
from mstar_web.bodies import SAFE_METHODS
from web_bench import talk

RECIPE = json.loads(SMALL.model_dump_json())
STUDY = {"name": "mine", "base": "small", "arms": {"a": {}, "b": {"seed": 3}}, "seeds": [0]}
WORK = ("score", "read", "run_admin")
"""Every role that a project hands out and that opens a route."""
BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/v1/runs/{run_id}"): {"tags": ["taken"]},
    ("POST", "/v1/runs/{run_id}/iterations"): {"count": 1},
}
"""Of the routes below that want one; the others get `{}`."""
WORKERS = "/internal/"
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain")
FOREIGN = ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"})
"""As browsers send them, in turn: not every route needs every one, since a middleware looks at them before any."""


class Route(NamedTuple):
    method: str
    template: str
    parameters: dict[str, dict[str, Any]]
    """Path parameter → its schema; none for those of pages."""

    @property
    def first(self) -> str:
        """The path parameter that says whose it is."""
        found = re.search(r"{(\w+)", self.template)
        return found[1] if found else ""

    def path(self, ids: dict[str, str]) -> str:
        """Its path with these ids, and with any value that will do for the rest."""
        return re.sub(r"{(\w+)(?::\w+)?}", lambda name: ids.get(name[1]) or self._any(name[1]), self.template)

    def _any(self, name: str) -> str:
        schema = self.parameters.get(name, {})
        return str(schema["enum"][0] if "enum" in schema else 1 if schema.get("type") == "integer" else "1")


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "small.yaml").write_text(SMALL.model_dump_json())
    copy_published(tmp_path / "projects" / "blue")
    relayed = {"prm_url": "http://127.0.0.1:9", "score_key": SecretStr("k-score")}
    return door(tmp_path, recipes_folder=tmp_path / "recipes", **relayed)


def routes(app: FastAPI) -> Iterator[Route]:
    document = app.openapi()

    def resolved(schema: dict[str, Any]) -> dict[str, Any]:
        name = schema.get("$ref", "").rpartition("/")[2]
        return dict(document["components"]["schemas"][name]) if name else schema

    for path, methods in document["paths"].items():
        for method, about in methods.items():
            given = {one["name"]: resolved(one["schema"]) for one in about.get("parameters", ()) if one["in"] == "path"}
            yield Route(method.upper(), path, given)
    for page in iter_route_contexts(app.routes):
        if not getattr(page, "include_in_schema", True):
            for method in sorted((page.methods or set()) - {"HEAD"}):
                yield Route(method, page.path, {})


async def filled(client: httpx2.AsyncClient, project: str) -> tuple[dict[str, str], str]:
    """One of everything that a project can own, by the name of its path parameter; and a key that may do all there."""
    made = await make_key(client, *WORK, project=project)
    key = bearer(made.key)

    async def begun(path: str, body: dict[str, Any]) -> str:
        answer = await client.post(path, json=body, headers=key)
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    file_id = (await upload(client, lines("one"), key)).json()["id"]
    ids = {
        "run_id": await begun("/v1/runs", {"recipe": RECIPE}),
        "evaluation_id": await begun("/v1/evaluations", ASKED),
        "study_id": await begun("/v1/studies", {"study": STUDY}),
        "file_id": file_id,
        "batch_id": await begun("/v1/batches", {"input_file_id": file_id, "endpoint": "/v1/score"}),
        "key_id": made.id,
    }
    await signed_in(client, made.key)
    client.cookies.clear()
    (session,) = (await client.get("/v1/sessions", headers=key)).json()["data"]
    return ids | {"session_id": session["id"]}, made.key


async def signed_in(client: httpx2.AsyncClient, key: str) -> dict[str, str]:
    """Cookies and token of a session, as headers of a request."""
    client.cookies.clear()
    assert (await client.post("/v1/session/sign-in", json={"key": key})).status_code == 200
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    token = client.cookies["mstar_csrf"]
    client.cookies.clear()
    return {"cookie": cookies, "x-csrf-token": token}


def unknown(known: str) -> str:
    """An id of the same shape that nothing has."""
    return known[:-1] + ("0" if known[-1] != "0" else "1")


def renamed(text: str, ids: dict[str, str]) -> str:
    """A text with ids that nothing has in the place of these."""
    for known in ids.values():
        text = text.replace(known, unknown(known))
    return text


async def ask(
    client: httpx2.AsyncClient, route: Route, ids: dict[str, str], headers: dict[str, str]
) -> httpx2.Response:
    body = {} if route.method in SAFE_METHODS else {"json": BODIES.get((route.method, route.template), {})}
    confirmed = {"confirm": ids["run_id"]} if route.method == "DELETE" and "run_id" in route.template else {}
    return await client.request(route.method, route.path(ids), headers=headers, params=confirmed, **body)


async def view(client: httpx2.AsyncClient, ids: dict[str, str], key: str) -> list[Any]:
    """What its owner sees of each, without what time alone changes."""
    seen = []
    for path in ("runs/{run_id}", "studies/{study_id}", "evaluations/{evaluation_id}", "files/{file_id}"):
        answer = (await client.get(f"/v1/{path.format(**ids)}", headers=bearer(key))).json()
        seen.append({name: answer.get(name) for name in ("id", "state", "tags", "iterations", "bytes")})
    listed = await client.get("/v1/keys", headers=bearer(key))
    return [*seen, [one["revoked_at"] for one in listed.json()["data"]]]


def test_nothing_of_another_project_is_there_for_a_key_or_a_session(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        blue, own = await filled(client, "blue")
        assert set(blue) == (set(OWNERS) | ELSEWHERE) - {"step_id"}
        red = (await make_key(client, *WORK, project="red")).key
        before = await view(client, blue, own)
        gone = {name: unknown(one) for name, one in blue.items()}
        session = await signed_in(client, red)
        asked = 0
        named = [one for one in routes(app) if one.first in blue and not one.template.startswith(WORKERS)]
        for one in sorted(named, key=lambda route: (route.template, route.method)):
            # Of a session, whose principal is the one of its key. An operator sees everybody's keys and sessions.
            nothing = await ask(client, one, gone, session)
            seen = [nothing, await ask(client, one, blue, session)]
            seen += [] if one.first in ELSEWHERE else [await ask(client, one, blue, bearer("k-run"))]
            for answer in seen:
                # A 422 says that the route wants another body: add it to BODIES.
                assert answer.status_code == 404, (one, answer.text)
                assert renamed(answer.text, blue) == nothing.text, one
            asked += 1
        assert asked > 40
        assert await view(client, blue, own) == before

    talk(app, conversation)


def test_an_id_of_another_project_is_nothing_in_a_body_a_query_or_a_path_of_a_recipe(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        blue, _ = await filled(client, "blue")
        red = bearer((await make_key(client, *WORK, project="red")).key)
        for headers in (red, bearer("k-run")):
            for path, body in (
                ("/v1/batches", {"input_file_id": blue["file_id"], "endpoint": "/v1/score"}),
                ("/v1/evaluations", ASKED | {"model": blue["run_id"]}),
                ("/v1/evaluations", ASKED | {"model": f"runs/{blue['run_id']}/policy"}),
                ("/v1/runs", {"recipe": RECIPE | {"model": {"base": f"runs/{blue['run_id']}/policy"}}}),
                ("/v1/runs", {"recipe": RECIPE | {"data": {"source": f"runs/{blue['run_id']}/cot_dataset"}}}),
                ("/v1/runs", {"recipe": blue["run_id"]}),
                ("/v1/studies", {"study": STUDY | {"base": blue["run_id"]}}),
            ):
                text = json.dumps(body)
                sent = (text, renamed(text, blue))
                answers = [await client.post(path, content=one, headers=headers) for one in sent]
                assert answers[0].status_code == answers[1].status_code in (403, 404, 422), (path, answers[0].text)
                assert renamed(answers[0].text, blue) == answers[1].text, path
            # An operator sees everybody's entries in the audit log.
            for path in ("runs", "studies", "evaluations", "files", "batches", *(("audit",) if headers == red else ())):
                for query in ({"after": "zzzz"}, {"text": blue["run_id"]}, {}):
                    shown = await client.get(f"/v1/{path}", params=query, headers=headers)
                    assert not any(one in shown.text for one in blue.values()), (path, query, shown.text)
            compared = await client.get("/compare", params={"run": [blue["run_id"], blue["run_id"]]}, headers=headers)
            assert compared.status_code == 404

    talk(app, conversation)


def test_a_page_of_strangers_changes_nothing_in_a_session(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        blue, own = await filled(client, "blue")
        before = await view(client, blue, own)
        session = await signed_in(client, own)
        cookie = {"cookie": session["cookie"]}
        changes = [
            one for one in routes(app) if one.method not in SAFE_METHODS and not one.template.startswith(WORKERS)
        ]
        assert len(changes) > 25
        for place, route in enumerate(changes):
            path, foreign, kind = route.path(blue), FOREIGN[place % len(FOREIGN)], FORMS[place % len(FORMS)]
            answer = await client.request(route.method, path, json={}, headers=session | foreign)
            assert answer.status_code == 403, (route, foreign, answer.text)
            # What a form of another page can send where a browser leaves the origin out; the cookie is SameSite too.
            headers = {**cookie, "content-type": kind}
            answer = await client.request(route.method, path, content=b"{}", headers=headers)
            assert answer.status_code in (403, 415), (route, kind, answer.text)
            if "sign-in" not in path:
                answer = await client.request(route.method, path, json={}, headers=cookie)
                assert answer.status_code == 403, (route, answer.text)
        assert await view(client, blue, own) == before

    talk(app, conversation)


def test_no_key_of_a_retry_reaches_what_another_project_has_begun(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        begun = []
        # Of the second project, with what the first one's key is kept as.
        for project, retry in (("blue", "k"), ("default", hashlib.sha256(b"blue\nk").hexdigest())):
            key = bearer((await make_key(client, *WORK, project=project)).key)
            for _ in range(2):
                headers = key | {"idempotency-key": retry}
                begun.append((await client.post("/v1/runs", json={"recipe": RECIPE}, headers=headers)).json()["id"])
        assert begun[0] == begun[1] != begun[2] == begun[3]

    talk(app, conversation)
