"""Signing in to the pages: a key becomes a cookie, a change needs its token, and the session ends with its key."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from coordinator_bench import SMALL, HandClock
from door_bench import bearer, door, make_key
from web_bench import ask, talk

HTML = {"accept": "text/html,application/xhtml+xml"}
SIGN_IN, SIGN_OUT = "/v1/session/sign-in", "/v1/session/sign-out"
Conversation = Callable[[httpx2.AsyncClient], Awaitable[None]]


async def sign_in(client: httpx2.AsyncClient, key: str = "k-run", **headers: str) -> httpx2.Response:
    answer = await client.post(SIGN_IN, json={"key": key}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def token_of(client: httpx2.AsyncClient) -> dict[str, str]:
    return {"x-csrf-token": client.cookies["mstar_csrf"]}


def test_a_browser_without_a_session_is_sent_to_sign_in_and_back(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        sent = await client.get("/runs?after=r-1", headers=HTML)
        assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?next=/runs%3Fafter%3Dr-1")
        page = await client.get(sent.headers["location"], headers=HTML)
        assert page.status_code == 200 and 'data-next="/runs?after=r-1"' in page.text
        for file in ("pages.css", "session.js", "sign_in.js"):
            assert (await client.get(f"/files/{file}")).status_code == 200
        # Programs, and calls of scripts, get the problem.
        for path, headers in (("/runs", {}), ("/v1/runs", HTML)):
            assert (await client.get(path, headers=headers)).status_code == 401

    talk(door(tmp_path), conversation)


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", ""]
)
def test_signing_in_leads_to_no_other_host(tmp_path: Path, target: str) -> None:
    page = ask(door(tmp_path), "GET", "/sign-in", params={"next": target})
    assert 'data-next="/runs"' in page.text


def test_a_key_becomes_a_cookie_that_scripts_do_not_see(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        answer = await sign_in(client)
        session, csrf = sorted(answer.headers.get_list("set-cookie"), key=lambda one: "csrf" in one)
        for wanted in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"):
            assert wanted in session
        assert "SameSite=strict" in csrf and "HttpOnly" not in csrf and "Secure" not in session
        assert "k-run" not in answer.text + session + csrf
        assert (await client.get("/runs", headers=HTML)).status_code == 200
        assert (await client.get("/v1/runs")).status_code == 200
        assert (await client.get("/v1/session")).json()["name"] == "bootstrap run_admin"

    talk(door(tmp_path), conversation)


def test_the_cookies_are_secure_where_the_browser_came_by_https(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        answer = await sign_in(client, origin="https://mstar.example", host="mstar.example")
        assert all("Secure" in one for one in answer.headers.get_list("set-cookie"))

    talk(door(tmp_path), conversation)


def test_a_change_needs_the_token_of_its_session(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        await sign_in(client)
        old = token_of(client)
        await sign_in(client)
        for headers in ({}, {"x-csrf-token": ""}, {"x-csrf-token": "0" * 64}, old):
            refused = await client.post("/v1/keys", json={"name": "x", "roles": ["read"]}, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        made = await client.post("/v1/keys", json={"name": "x", "roles": ["read"]}, headers=token_of(client))
        assert made.status_code == 201

    talk(door(tmp_path), conversation)


def test_a_session_may_what_its_key_may(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        key = await make_key(client, "read")
        await sign_in(client, key.key)
        assert (await client.get("/runs")).status_code == 200
        assert (await client.post("/v1/runs/r-1/pause", headers=token_of(client))).status_code == 403
        await client.post(f"/v1/keys/{key.id}/revoke", headers=bearer("k-run"))
        assert (await client.get("/runs")).status_code == 401

    talk(door(tmp_path), conversation)


def test_signing_out_ends_the_session_for_whoever_has_its_cookie(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        await sign_in(client)
        cookies = dict(client.cookies)
        assert (await client.post(SIGN_OUT)).status_code == 403
        assert (await client.post(SIGN_OUT, headers=token_of(client))).status_code == 200
        assert not client.cookies
        cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
        assert (await client.get("/v1/runs", headers={"cookie": cookie})).status_code == 401

    talk(door(tmp_path), conversation)


def test_a_stream_of_events_ends_with_the_key_or_session_that_opened_it(tmp_path: Path) -> None:
    async def begun(client: httpx2.AsyncClient, path: str, headers: dict[str, str]) -> "asyncio.Task[httpx2.Response]":
        stream = asyncio.create_task(client.get(path, headers=headers | {"accept": "text/event-stream"}))
        await asyncio.sleep(0.1)
        return stream

    async def conversation(client: httpx2.AsyncClient) -> None:
        key = await make_key(client, "run_admin")
        body = {"recipe": json.loads(SMALL.model_dump_json())}
        run = (await client.post("/v1/runs", json=body, headers=bearer(key.key))).json()
        path = f"/v1/runs/{run['id']}/events"
        by_key = await begun(client, path, bearer(key.key))
        await sign_in(client)
        by_session = await begun(client, path, {})
        # One of the settings stays, and so does what it has opened.
        by_setting = await begun(client, path, bearer("k-run"))
        await client.post(f"/v1/keys/{key.id}/revoke", headers=bearer("k-run"))
        await client.post(SIGN_OUT, headers=token_of(client))
        async with asyncio.timeout(20):
            ended = [await by_key, await by_session]
        # On a slow machine a stream may begin when it is too late already.
        assert {answer.status_code for answer in ended} <= {200, 401}
        assert not by_setting.done()
        await client.post(f"/v1/runs/{run['id']}/cancel", headers=bearer("k-run"))
        assert "run.cancelled" in (await by_setting).text

    talk(door(tmp_path), conversation)


def test_a_session_survives_a_restart_and_ends_in_time_or_with_its_bootstrap_key(home: Path) -> None:
    clock, cookie = HandClock(), ""

    async def begin(client: httpx2.AsyncClient) -> None:
        nonlocal cookie
        await sign_in(client)
        cookie = f"mstar_session={client.cookies['mstar_session']}"

    async def status(client: httpx2.AsyncClient) -> int:
        return (await client.get("/v1/runs", headers={"cookie": cookie})).status_code

    talk(door(home, clock), begin)
    assert talk(door(home, clock), status) == 200
    assert talk(door(home, clock, run_admin_key=SecretStr("k-new")), status) == 401
    clock.pass_(12 * 3600)
    # On PostgreSQL the database's own clock counts, which no test sets.
    if "sqlite" in str(home) or not (home / "other-database").exists():
        assert talk(door(home, clock), status) == 401


@pytest.mark.parametrize("key", ["k-other", "k-ru", "k-runx", f"mstar_{'a' * 12}_{'b' * 43}", "\u00e9"])
def test_a_key_that_opens_nothing_begins_no_session(tmp_path: Path, key: str) -> None:
    answer = ask(door(tmp_path), "POST", SIGN_IN, json={"key": key})
    assert answer.status_code == 401 and "set-cookie" not in answer.headers and key not in answer.text


def test_no_other_page_may_sign_somebody_in(tmp_path: Path) -> None:
    headers = {"origin": "http://evil.example"}
    assert ask(door(tmp_path), "POST", SIGN_IN, json={"key": "k-run"}, headers=headers).status_code == 403


def test_where_no_key_is_asked_for_nobody_signs_in(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        assert (await client.get("/runs", headers=HTML)).status_code == 200
        assert (await client.get("/sign-in?next=/runs")).headers["location"] == "/runs"

    talk(door(tmp_path, run_admin_key=None, internal_key=None, metrics_key=None), conversation)


def test_sessions_of_the_own_project_are_listed_and_ended_with_an_entry_in_the_audit(home: Path) -> None:
    clock = HandClock()

    async def conversation(client: httpx2.AsyncClient) -> None:
        blue = await make_key(client, "run_admin", name="blue admin", project="blue")
        cookies = []
        for key in (blue.key, blue.key, "k-run"):
            await sign_in(client, key)
            cookies.append({"cookie": f"mstar_session={client.cookies['mstar_session']}"})
            client.cookies.clear()
            clock.pass_(1)
        path = "/v1/sessions"
        own = (await client.get(path, headers=bearer(blue.key))).json()["data"]
        assert [(one["name"], one["project"], one["key_id"]) for one in own] == [("blue admin", "blue", blue.id)] * 2
        every = (await client.get(path, headers=bearer("k-run"))).json()["data"]
        assert [one["name"] for one in every] == ["bootstrap run_admin", "blue admin", "blue admin"]
        # What lists show opens nothing.
        for one in every:
            stolen = {"cookie": f"mstar_session={one['id']}"}
            assert (await client.get("/v1/runs", headers=stolen)).status_code == 401
        first = await client.get(path, params={"limit": 1}, headers=bearer(blue.key))
        rest = await client.get(path, params={"after": first.json()["last_id"]}, headers=bearer(blue.key))
        assert (first.json()["data"] + rest.json()["data"], first.json()["has_more"]) == (own, True)
        for wrong in (every[0]["id"], own[0]["id"][:-1], own[0]["id"] + "0", "", "%", "_" * 16, "no-such", "0" * 5000):
            refused = await client.post(f"{path}/{wrong}/end", headers=bearer(blue.key), json={})
            assert refused.status_code == 404, wrong
        ended = await client.post(f"{path}/{own[0]['id']}/end", headers=bearer(blue.key))
        assert ended.json() == own[0]
        assert sorted([(await client.get("/v1/runs", headers=one)).status_code for one in cookies]) == [200, 200, 401]
        for by, name, status in (
            (blue.key, "bootstrap run_admin", 404),
            ("k-run", "blue admin", 200),
            ("k-run", "x", 404),
        ):
            answer = await client.post(f"{path}/end", json={"name": name}, headers=bearer(by))
            assert answer.status_code == status, answer.text
        left = await client.get(path, params={"name": "blue admin"}, headers=bearer("k-run"))
        assert left.json()["data"] == []
        noted = (await client.get("/v1/audit", headers=bearer("k-run"))).json()["data"]
        assert [one["object"] for one in noted if one["status"] == 200 and "end" in one["route"]] == [
            "blue admin",
            f"{own[0]['id']} of blue admin",
        ]

    talk(door(home, clock), conversation)


def test_who_may_not_make_keys_neither_lists_nor_ends_sessions(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        for role in ("read", "score", "upload"):
            key = await make_key(client, role)
            assert (await client.get("/v1/sessions", headers=bearer(key.key))).status_code == 403
            for path in ("/v1/sessions/end", "/v1/sessions/0123456789abcdef/end"):
                answer = await client.post(path, json={"name": "bootstrap run_admin"}, headers=bearer(key.key))
                assert answer.status_code == 403

    talk(door(tmp_path), conversation)


def test_a_session_of_a_key_that_ended_is_not_open(home: Path) -> None:
    clock = HandClock()

    async def conversation(client: httpx2.AsyncClient) -> None:
        revoked, short = await make_key(client, "read", name="revoked"), await make_key(client, "read", days=1)
        for key in (revoked.key, short.key, "k-run"):
            await sign_in(client, key)
            client.cookies.clear()
        await client.post(f"/v1/keys/{revoked.id}/revoke", headers=bearer("k-run"))
        names = [one["name"] for one in (await client.get("/v1/sessions", headers=bearer("k-run"))).json()["data"]]
        assert sorted(names) == ["a key", "bootstrap run_admin"]
        ended = await client.post("/v1/sessions/end", json={"name": "revoked"}, headers=bearer("k-run"))
        assert ended.status_code == 404

    talk(door(home, clock), conversation)


def test_an_ended_session_is_told_from_no_session(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        await sign_in(client)
        cookie = {"cookie": f"mstar_session={client.cookies['mstar_session']}"}
        client.cookies.clear()
        await client.post("/v1/sessions/end", json={"name": "bootstrap run_admin"}, headers=bearer("k-run"))
        call = await client.post("/v1/runs", json={"recipe": "demo"}, headers=cookie)
        assert (call.status_code, call.json()["detail"]) == (401, "this session has ended: sign in again at /sign-in")
        assert "has ended" in (await client.get("/sign-in?ended=true", headers=HTML)).text
        assert "has ended" not in (await client.get("/sign-in", headers=HTML)).text

    talk(door(tmp_path), conversation)
