"""The audit log: who asked for which change, and what came of it."""

from pathlib import Path

import httpx2
from typer.testing import CliRunner

from coordinator_bench import HandClock
from door_bench import bearer, door, make_key
from mstar.cli.main import app as mstar
from mstar_web.logs import configure_logs
from web_bench import serving, talk


def test_changes_are_noted_with_who_what_and_outcome_and_no_secret(home: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        blue = await make_key(client, "run_admin", name="blue admin", project="blue")
        reader = await make_key(client, "read", name="blue reader", project="blue")
        await client.post("/v1/runs/r-1/cancel", headers=bearer(blue.key) | {"x-request-id": "mine"})
        await client.post("/v1/runs", json={"recipe": "secret name"}, headers=bearer(reader.key))
        await client.post("/v1/session/sign-in", json={"key": reader.key})
        client.cookies.clear()
        for ignored in ("/v1/runs", "/v1/keys"):
            await client.get(ignored, headers=bearer(blue.key))
        await client.post("/v1/runs", json={}, headers=bearer("k-wrong"))
        await client.post("/internal/v1/steps/x/claim", json={"worker": "w"}, headers=bearer("k-inside"))

        answer = await client.get("/v1/audit", headers=bearer("k-run"))
        found = [
            (one["actor"], one["method"], one["route"], one["object"], one["status"])
            for one in reversed(answer.json()["data"])
        ]
        assert found == [
            ("bootstrap run_admin", "POST", "/v1/keys", blue.id, 201),
            ("bootstrap run_admin", "POST", "/v1/keys", reader.id, 201),
            ("blue admin", "POST", "/v1/runs/{run_id}/cancel", "r-1", 404),
            ("blue reader", "POST", "unmatched", None, 403),
            ("blue reader", "POST", "/v1/session/sign-in", None, 200),
        ]
        assert answer.json()["data"][2]["request_id"] == "mine"
        for secret in (blue.key, reader.key, "k-run", "secret name"):
            assert secret not in answer.text

        own = (await client.get("/v1/audit", headers=bearer(blue.key))).json()["data"]
        assert {one["project"] for one in own} == {"blue"} and len(own) == 3
        page = (await client.get("/v1/audit?limit=2", headers=bearer("k-run"))).json()
        rest = (await client.get(f"/v1/audit?after={page['last_id']}", headers=bearer("k-run"))).json()
        assert len(page["data"]) == 2 and page["has_more"] and len(rest["data"]) == 3

    talk(door(home), conversation)


def test_entries_go_after_their_time(tmp_path: Path) -> None:
    clock = HandClock()

    async def act(client: httpx2.AsyncClient) -> int:
        await make_key(client, "read")
        return len((await client.get("/v1/audit", headers=bearer("k-run"))).json()["data"])

    assert talk(door(tmp_path, clock, audit_days=1), act) == 1
    clock.pass_(2 * 86_400)
    assert talk(door(tmp_path, clock, audit_days=1), act) == 1


def test_the_command_shows_it(tmp_path: Path) -> None:
    configure_logs("coordinator")
    with serving(door(tmp_path)) as url:
        environment = {"MSTAR_URL": url, "MSTAR_RUN_ADMIN_KEY": "k-run"}
        run = CliRunner(env=environment).invoke
        run(mstar, ["keys", "create", "blue", "--role", "read"])
        shown = run(mstar, ["audit"])
    assert shown.exit_code == 0 and "201  bootstrap run_admin" in shown.output and "/v1/keys" in shown.output
