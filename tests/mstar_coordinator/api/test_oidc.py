"""Signing in at an OpenID Connect provider, which is a process of its own: the way in, and what must not be one."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from door_bench import bearer, door
from mstar_embedded.ports import free_ports
from web_bench import talk

HTML = {"accept": "text/html,application/xhtml+xml"}
BEGIN, RETURN = "/sign-in/oidc", "/sign-in/oidc/return"
SECRET = "sesame-of-the-client"
USERS = (
    {"sub": "anna", "groups": ["staff"], "email": "anna@example.org", "email_verified": True},
    {"sub": "boss", "groups": ["admins"], "team": "b"},
    {"sub": "stranger", "groups": ["football"]},
)
Conversation = Callable[[httpx2.AsyncClient], Awaitable[None]]


@contextmanager
def provider(port: int = 0, ahead: float = 0) -> Iterator[str]:
    """A provider on a socket, which takes any client; `ahead`: seconds by which its clock is."""
    port = port or free_ports().coordinator
    users = [part for user in USERS for part in ("--user-claims", json.dumps(user))]
    clock = f"import runpy, time; now = time.time; time.time = lambda: now() + {ahead}"
    child = subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore", "-c"),
            f"{clock}; runpy.run_module('oidc_provider_mock', run_name='__main__')",
            *("--port", str(port), *users),
        ],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=dict(os.environ),
    )
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 90
        while not _answers(url):
            assert child.poll() is None and time.monotonic() < end, "the provider does not start"
            time.sleep(0.1)
        yield url
    finally:
        child.kill()
        child.wait()


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with provider() as url:
        yield url


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/.well-known/openid-configuration").status_code == 200
    except httpx2.TransportError:
        return False


def lab(home: Path, issuer: str, **settings: Any) -> FastAPI:
    fields = {
        "oidc_issuer": issuer,
        "public_url": "http://localhost",
        "oidc_client_id": "mstar",
        "oidc_client_secret": SecretStr(SECRET),
        "oidc_roles": "staff=read,admins=run_admin",
    }
    return door(home, **fields | settings)


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def begin(client: httpx2.AsyncClient, next_page: str = "/runs?after=r-1") -> str:
    """The provider's page to which the browser is sent."""
    sent = await client.get(BEGIN, params={"next": next_page}, headers=HTML)
    assert sent.status_code == 303, sent.text
    return sent.headers["location"]


def consent(url: str, user: str = "anna", **changed: str) -> dict[str, str]:
    """What the provider sends the browser back with, once the user has agreed; `changed`: of what it was asked."""
    parts = urlsplit(url)
    asked = urlencode(query(url) | changed)
    with httpx2.Client() as browser:
        answer = browser.post(parts._replace(query=asked).geturl(), data={"sub": user})
    assert answer.status_code == 302, answer.text
    assert answer.headers["location"].startswith(f"http://localhost{RETURN}?")
    return query(answer.headers["location"])


async def arrive(client: httpx2.AsyncClient, given: dict[str, str]) -> httpx2.Response:
    return await client.get(
        RETURN, params=given, headers={**HTML, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    )


def refused(answer: httpx2.Response, status: int, said: str) -> None:
    """A page with one sentence, without a session, and without any word of the address or the secret."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8"), answer.text
    (sentence,) = re.findall(r'role="alert">(.*?)</p>', answer.text)
    assert re.search(said, sentence), sentence
    assert "mstar_session" not in str(answer.headers.get_list("set-cookie"))
    assert SECRET not in answer.text and "sesame" not in answer.text and "Traceback" not in answer.text


def test_a_person_signs_in_gets_the_same_cookies_and_signs_out(
    tmp_path: Path, issuer: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        page = await client.get("/sign-in?next=/runs%3Fafter%3Dr-1", headers=HTML)
        assert 'href="/sign-in/oidc?next=/runs%3Fafter%3Dr-1"' in page.text
        url = await begin(client)
        asked = query(url)
        assert url.startswith(f"{issuer}/oauth2/authorize?")
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert len(asked["state"]) >= 20 and len(asked["nonce"]) >= 20 and len(asked["code_challenge"]) == 43
        given = consent(url)
        answer = await arrive(client, given)
        assert answer.status_code == 200 and 'url=/runs?after=r-1"' in answer.text
        session, csrf = sorted(
            (one for one in answer.headers.get_list("set-cookie") if "Max-Age=43200" in one),
            key=lambda one: "csrf" in one,
        )
        assert "HttpOnly" in session and "SameSite=strict" in session and "SameSite=strict" in csrf
        assert (await client.get("/runs", headers=HTML)).status_code == 200
        who = (await client.get("/v1/session")).json()
        assert (who["name"], who["roles"], who["operator"]) == ("oidc:anna@example.org", ["read"], False)
        token = {"x-csrf-token": client.cookies["mstar_csrf"]}
        # May read, and change nothing: with the token as without.
        for headers in (token, {}):
            assert (await client.post("/v1/runs/r-1/pause", headers=headers)).status_code == 403
        assert (await client.post("/v1/session/sign-out", headers=token)).status_code == 200
        assert (await client.get("/v1/session")).status_code == 401
        # The browser's back button, and whoever has read the address.
        refused(await arrive(client, given), 422, "begun no sign-in")

    talk(lab(tmp_path, issuer), conversation)
    assert SECRET not in "".join(capfd.readouterr())


def test_roles_and_project_are_those_of_the_claims(tmp_path: Path, issuer: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        await arrive(client, consent(await begin(client), "boss"))
        token = {"x-csrf-token": client.cookies["mstar_csrf"]}
        asked = {"name": "own", "roles": ["read"]}
        assert (await client.post("/v1/keys", json=asked)).status_code == 403
        made = (await client.post("/v1/keys", json=asked, headers=token)).json()
        assert (made["project"], made["created_by"]) == ("blue", "oidc:boss")
        # Nobody whom a provider vouches for reaches beyond the project.
        for beyond in ({"roles": ["internal"]}, {"project": "green"}):
            assert (await client.post("/v1/keys", json=asked | beyond, headers=token)).status_code == 403
        assert '"actor":"oidc:boss"' in (await client.get("/v1/audit")).text

    talk(lab(tmp_path, issuer, oidc_project_claim="team", oidc_projects="b=blue"), conversation)


def test_who_may_only_score_goes_to_the_page_for_that(tmp_path: Path, issuer: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        answer = await arrive(client, consent(await begin(client)))
        assert answer.status_code == 200 and 'url=/scoring"' in answer.text
        assert (await client.get("/scoring", headers=HTML)).status_code == 200
        assert (await client.get("/runs", headers=HTML)).status_code == 403

    talk(lab(tmp_path, issuer, oidc_roles="staff=score"), conversation)


def test_who_has_no_role_learns_what_to_ask_for(tmp_path: Path, issuer: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        answer = await arrive(client, consent(await begin(client), "stranger"))
        refused(answer, 403, "oidc:stranger, and no value of your claim groups .* MSTAR_COORDINATOR_OIDC_ROLES")
        assert (await client.get("/v1/session")).status_code == 401

    talk(lab(tmp_path, issuer), conversation)


def test_answers_that_this_browser_did_not_ask_for_open_nothing(tmp_path: Path, issuer: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        url = await begin(client)
        given = consent(url)
        for state in ("", "sesame", given["state"] + "x", "\u00e9"):
            refused(await arrive(client, given | {"state": state}), 422, "another sign-in")
            # Each try costs the browser's cookie, so that nobody guesses on.
            refused(await arrive(client, given), 422, "begun no sign-in")
            url = await begin(client)
            given = consent(url)
        # An attacker's code in a victim's browser, which has begun a sign-in of its own.
        others = given
        await begin(client)
        refused(await arrive(client, others), 422, "another sign-in")
        for cookie in ("sesame", "", "e30.e30.e30"):
            headers = {**HTML, "cookie": f"mstar_sign_in={cookie}"}
            refused(await client.get(RETURN, params=given, headers=headers), 422, "begun no sign-in")

    talk(lab(tmp_path, issuer), conversation)


def test_a_token_for_another_sign_in_or_another_client_opens_nothing(tmp_path: Path, issuer: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        given = consent(await begin(client), nonce="sesame")
        refused(await arrive(client, given), 422, "not for this sign-in")
        given = consent(await begin(client), client_id="another")
        refused(await arrive(client, given), 422, "no longer accepts this code")

    talk(lab(tmp_path, issuer), conversation)


def test_a_code_that_is_used_or_invented_opens_nothing(tmp_path: Path, issuer: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        given = consent(await begin(client))
        form = {"grant_type": "authorization_code", "code": given["code"], "redirect_uri": f"http://localhost{RETURN}"}
        assert httpx2.post(f"{issuer}/oauth2/token", data=form, auth=("mstar", "x")).status_code == 200
        refused(await arrive(client, given), 422, "no longer accepts this code")
        given = consent(await begin(client))
        refused(await arrive(client, given | {"code": "sesame"}), 422, "no longer accepts this code")
        url = await begin(client)
        denied = {"error": "access_denied", "error_description": "sesame <script>", "state": query(url)["state"]}
        refused(await arrive(client, denied), 422, "did not let you in")

    talk(lab(tmp_path, issuer), conversation)


def test_signing_in_leads_to_no_other_host(tmp_path: Path, issuer: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        for target in ("//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)"):
            answer = await arrive(client, consent(await begin(client, target)))
            assert answer.status_code == 200 and 'url=/runs"' in answer.text and "evil" not in answer.text

    talk(lab(tmp_path, issuer), conversation)


def test_provider_and_way_back_come_from_settings_only(tmp_path: Path, issuer: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        headers = {"host": "evil.example", "x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}
        for changed in ({}, {"issuer": "http://evil.example", "redirect_uri": "http://evil.example", "iss": "x"}):
            sent = await client.get(BEGIN, params=changed, headers=headers)
            assert sent.headers["location"].startswith(issuer)
            assert query(sent.headers["location"])["redirect_uri"] == f"http://localhost{RETURN}"
            assert "evil" not in sent.headers["location"]

    talk(lab(tmp_path, issuer), conversation)


def test_a_provider_that_is_down_is_a_page_and_keys_still_open(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        for _ in range(2):
            answer = await client.get(BEGIN, headers=HTML)
            refused(answer, 503, "provider does not answer: try again in a moment, or sign in with a key")
            assert int(answer.headers["retry-after"]) > 0
        assert (await client.post("/v1/session/sign-in", json={"key": "k-run"})).status_code == 200

    talk(lab(tmp_path, "http://127.0.0.1:9"), conversation)


def test_a_provider_of_another_name_is_refused(tmp_path: Path, issuer: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        refused(await client.get(BEGIN, headers=HTML), 503, "MSTAR_COORDINATOR_OIDC_ISSUER")

    # The same provider, by another name than its own.
    talk(lab(tmp_path, issuer.replace("127.0.0.1", "localhost") + "/."), conversation)


def test_a_session_ends_when_the_settings_of_the_provider_change(tmp_path: Path, issuer: str) -> None:
    cookie = ""

    async def sign_in(client: httpx2.AsyncClient) -> None:
        nonlocal cookie
        await arrive(client, consent(await begin(client)))
        cookie = f"mstar_session={client.cookies['mstar_session']}"

    async def status(client: httpx2.AsyncClient) -> int:
        return (await client.get("/v1/runs", headers={"cookie": cookie})).status_code

    talk(lab(tmp_path, issuer), sign_in)
    assert talk(lab(tmp_path, issuer), status) == 200
    assert talk(lab(tmp_path, issuer, oidc_roles="staff=score"), status) == 401
    assert talk(lab(tmp_path, "http://127.0.0.1:9"), status) == 401
    assert talk(door(tmp_path), status) == 401


def test_one_persons_session_is_listed_and_ended_by_an_admin(tmp_path: Path, issuer: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        cookies = []
        for user in ("anna", "anna", "boss"):
            await arrive(client, consent(await begin(client), user))
            cookies.append({"cookie": f"mstar_session={client.cookies['mstar_session']}"})
            client.cookies.clear()
        listed = (await client.get("/v1/sessions", headers=bearer("k-run"))).json()["data"]
        names = sorted(one["name"] for one in listed)
        assert names == ["oidc:anna@example.org", "oidc:anna@example.org", "oidc:boss"]
        ended = await client.post("/v1/sessions/end", json={"name": names[0]}, headers=bearer("k-run"))
        assert (ended.status_code, ended.json()) == (200, {"ended": 2})
        assert [(await client.get("/v1/runs", headers=one)).status_code for one in cookies] == [401, 401, 200]
        page = await client.get("/runs?after=r-1", headers=HTML | cookies[0])
        assert page.headers["location"] == "/sign-in?next=/runs%3Fafter%3Dr-1&ended=true"
        assert "Your session has ended" in (await client.get(page.headers["location"], headers=HTML)).text
        # The provider still vouches for her.
        assert (await arrive(client, consent(await begin(client)))).status_code == 200

    talk(lab(tmp_path, issuer), conversation)


def test_a_provider_that_has_another_key_since_is_believed(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        with provider(port):
            assert (await arrive(client, consent(await begin(client)))).status_code == 200
        # Away: who is in stays in.
        assert (await client.get("/v1/session")).status_code == 200
        with provider(port):
            assert (await arrive(client, consent(await begin(client)))).status_code == 200
            left = consent(await begin(client))
        refused(await arrive(client, left), 503, "provider does not answer")

    port = free_ports().coordinator
    talk(lab(tmp_path, f"http://127.0.0.1:{port}"), conversation)


@pytest.mark.parametrize("ahead", [100, 300, -4000])
def test_a_clock_that_differs_is_named(tmp_path: Path, ahead: float) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        answer = await arrive(client, consent(await begin(client)))
        if abs(ahead) < 120:
            assert answer.status_code == 200
        else:
            refused(answer, 422, "clock and .* differ by more than 2 minutes")

    with provider(ahead=ahead) as url:
        talk(lab(tmp_path, url), conversation)


def test_without_a_provider_there_is_no_such_page(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        assert (await client.get(BEGIN, headers=HTML)).status_code == 404
        assert "oidc" not in (await client.get("/sign-in", headers=HTML)).text

    talk(door(tmp_path), conversation)
