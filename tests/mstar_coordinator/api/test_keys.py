"""`/v1/keys` over ASGI: who may make which key, what it opens, and that it ends when it is revoked."""

from pathlib import Path

import httpx2
import pytest

from coordinator_bench import HandClock, database_of
from door_bench import BOOTSTRAP, bearer, door, make_key
from web_bench import talk

DAY = 86_400.0


def test_a_key_opens_what_its_roles_may_and_is_shown_once(home: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> str:
        made = await make_key(client, "read", name="blue", days=1)
        assert (made.name, made.project, made.created_by) == ("blue", "default", "bootstrap run_admin")
        assert made.expires_at is not None and made.expires_at - made.created_at == DAY
        assert (await client.get("/v1/runs", headers=bearer(made.key))).status_code == 200
        assert (await client.post("/v1/runs", json={"recipe": "demo"}, headers=bearer(made.key))).status_code == 403
        assert (await client.get("/v1/keys", headers=bearer(made.key))).status_code == 403
        listed = await client.get("/v1/keys", headers=bearer("k-run"))
        assert [key["id"] for key in listed.json()["data"]] == [made.id] and made.key not in listed.text
        return made.key

    key = talk(door(home), conversation)
    if database_of(home).startswith("sqlite"):
        kept = b"".join(path.read_bytes() for path in (home / ".mstar").iterdir())
        assert key.encode() not in kept and key[19:].encode() not in kept


def test_a_revoked_key_ends_at_once_and_an_expired_one_in_time(home: Path) -> None:
    clock = HandClock()

    async def conversation(client: httpx2.AsyncClient) -> None:
        first, second = await make_key(client, "read"), await make_key(client, "read", days=1)
        for key in (first, second):
            assert (await client.get("/v1/runs", headers=bearer(key.key))).status_code == 200
        revoked = await client.post(f"/v1/keys/{first.id}/revoke", headers=bearer("k-run"))
        assert revoked.json()["revoked_at"] is not None
        assert (await client.get("/v1/runs", headers=bearer(first.key))).status_code == 401
        again = await client.post(f"/v1/keys/{first.id}/revoke", headers=bearer("k-run"))
        assert again.json()["revoked_at"] == revoked.json()["revoked_at"]
        assert (await client.get("/v1/runs", headers=bearer(second.key))).status_code == 200

    talk(door(home, clock), conversation)


def test_a_key_of_a_project_makes_keys_of_that_project_only(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        blue = await make_key(client, "run_admin", project="blue")
        red = await make_key(client, "run_admin", project="red")
        own = await make_key(client, "score", by=blue.key)
        assert own.project == "blue"
        for body, field in (
            ({"name": "x", "roles": ["score"], "project": "red"}, "project"),
            ({"name": "x", "roles": ["weights_admin"]}, "roles"),
            ({"name": "x", "roles": ["score", "internal"]}, "roles"),
        ):
            refused = await client.post("/v1/keys", json=body, headers=bearer(blue.key))
            assert (refused.status_code, refused.json()["field"]) == (403, field)
        listed = (await client.get("/v1/keys", headers=bearer(blue.key))).json()["data"]
        assert {key["id"] for key in listed} == {blue.id, own.id}
        assert (await client.post(f"/v1/keys/{own.id}/revoke", headers=bearer(red.key))).status_code == 404
        assert (await client.post("/v1/keys/nothing/revoke", headers=bearer(red.key))).status_code == 404
        all_ = (await client.get("/v1/keys", headers=bearer("k-run"))).json()["data"]
        assert len(all_) == 3

    talk(door(tmp_path), conversation)


@pytest.mark.parametrize(
    "fields",
    [
        {"roles": []},
        {"roles": ["admin"]},
        {"roles": ["score", "score"]},
        {"name": ""},
        {"name": "<script>"},
        {"name": "x" * 81},
        {"days": 0},
        {"days": 10**9},
        {"project": "../x"},
        {"limits": {"requests_per_minute": 0}},
        {"limits": {"requests": 1}},
        {"operator": True},
    ],
)
def test_a_body_that_names_no_key_is_refused(tmp_path: Path, fields: dict[str, object]) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        body = {"name": "x", "roles": ["score"], **fields}
        assert (await client.post("/v1/keys", json=body, headers=bearer("k-run"))).status_code == 422

    talk(door(tmp_path), conversation)


def test_services_ask_whose_a_key_is(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        made = await make_key(client, "score", project="blue", limits={"concurrent": 4})
        path = "/internal/v1/keys/introspect"
        for key, known in ((made.key, True), (made.key[:-1] + "A", False), ("k-run", False), ("", False)):
            found = (await client.post(path, json={"key": key}, headers=bearer("k-inside"))).json()["principal"]
            assert (found is not None) is known, key
            if found:
                assert (found["project"], found["limits"]["concurrent"], found["operator"]) == ("blue", 4, False)
        assert (await client.post(path, json={"key": made.key}, headers=bearer("k-run"))).status_code == 403
        assert (await client.post(path, json={"key": made.key}, headers=bearer(made.key))).status_code == 403

    talk(door(tmp_path), conversation)


def test_keys_are_listed_in_pages(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        made = [(await make_key(client, "read", name=f"key {number}")).id for number in range(5)]
        seen: list[str] = []
        after = ""
        while True:
            page = (await client.get(f"/v1/keys?limit=2{after}", headers=bearer("k-run"))).json()
            seen += [key["id"] for key in page["data"]]
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
        assert sorted(seen) == sorted(made) and len(seen) == 5

    talk(door(tmp_path), conversation)


def test_the_key_of_another_project_is_no_place_in_a_list(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        blue = await make_key(client, "run_admin", project="blue")
        red = bearer((await make_key(client, "run_admin", project="red")).key)
        answers = [await client.get(f"/v1/keys?after={one}", headers=red) for one in (blue.id, "0" * 12)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].text.replace(blue.id, "0" * 12) == answers[1].text
        assert (await client.get(f"/v1/keys?after={blue.id}", headers=bearer("k-run"))).status_code == 200

    talk(door(tmp_path), conversation)


def test_bootstrap_keys_stay(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> dict[str, int]:
        return {
            role: (await client.get("/v1/session", headers=bearer(key))).status_code for role, key in BOOTSTRAP.items()
        }

    assert talk(door(tmp_path), conversation) == {"run_admin": 200, "internal": 200, "metrics": 403}
