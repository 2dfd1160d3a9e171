"""Batches whose PRM, input or files fail: what holds one up is said, and the others go on."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import create_engine

from batch_bench import Prm, begin, coordinator, ended, lines, rows
from coordinator_bench import HandClock, MemoryPublisher, database_of
from mstar_coordinator.api.app import build_app
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.store.database import open_store
from web_bench import serving, talk


def test_a_request_that_ends_the_prm_does_not_hold_up_the_others(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    prm.other["odd"] = lambda _: (500, {"detail": "no"}, {})

    async def conversation(client: httpx2.AsyncClient) -> dict[str, Any]:
        batch_id = (await begin(client, lines("odd", "even"))).json()["id"]
        return await ended(client, batch_id)

    batch = talk(coordinator(tmp_path, prm_url), conversation)
    assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    assert prm.asked.count("odd") == 3


def test_a_batch_says_what_its_requests_wait_for(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    """A PRM that was started anew has no weights until somebody loads them."""
    empty: list[bool] = [True]
    refused = 503, {"detail": "no weights are loaded: `mstar serve RUN`"}, {"retry-after": "0"}
    prm.other["a"] = lambda before: refused if empty else (200, {"results": []}, {})

    async def scenario(client: httpx2.AsyncClient) -> None:
        batch = (await begin(client, lines("a"))).json()
        for _ in range(600):
            shown = (await client.get(f"/v1/batches/{batch['id']}")).json()
            if shown["problem"]:
                break
            await asyncio.sleep(0.05)
        assert shown["status"] == "in_progress"
        assert shown["problem"] == "the PRM answers with 503: no weights are loaded: `mstar serve RUN`"
        (listed,) = (await client.get("/v1/batches")).json()["data"]
        assert listed["problem"] == shown["problem"]
        empty.clear()
        assert (await ended(client, batch["id"]))["problem"] is None

    talk(coordinator(tmp_path, prm_url), scenario)


def test_a_key_that_the_prm_does_not_know_yet_spoils_no_line(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    """While keys are changed, the PRM has the new one and the coordinator the old one, or the other way round."""
    prm.other["a"] = lambda before: (200, {"results": []}, {}) if before else (401, {"detail": "send a key"}, {})

    async def conversation(client: httpx2.AsyncClient) -> dict[str, Any]:
        return await ended(client, (await begin(client, lines("a", "b"))).json()["id"])

    batch = talk(coordinator(tmp_path, prm_url), conversation)
    assert batch["request_counts"] == {"total": 2, "completed": 2, "failed": 0}


def test_a_file_that_cannot_be_read_holds_up_its_own_batch_only(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        prm.seconds = 0.2
        first = (await begin(client, lines(*map(str, range(20))))).json()
        path = tmp_path / ".mstar" / "files" / first["input_file_id"]
        content = path.read_bytes()
        path.unlink()
        path.mkdir()
        second = (await begin(client, lines("a"))).json()
        assert (await ended(client, second["id"]))["status"] == "completed"
        shown = await held(client, first["id"])
        assert "its files on the coordinator's disk cannot be used: Is a directory" in shown["problem"]
        assert str(tmp_path) not in shown["problem"]
        path.rmdir()
        path.write_bytes(content)
        prm.seconds = 0.0
        assert (await ended(client, first["id"]))["request_counts"]["completed"] == 20

    talk(coordinator(tmp_path, prm_url), conversation)


def test_a_prm_that_hangs_holds_up_no_cancellation(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        prm.seconds = 60.0
        first, second = [(await begin(client, lines(one))).json()["id"] for one in "ab"]
        while not prm.asked:
            await asyncio.sleep(0.05)
        began = time.monotonic()
        for batch_id in (second, first):
            await client.post(f"/v1/batches/{batch_id}/cancel")
        assert (await ended(client, second))["status"] == "cancelled" and time.monotonic() - began < 4
        stopped = await ended(client, first)
        assert (stopped["status"], stopped["request_counts"]["completed"]) == ("cancelled", 0)
        assert time.monotonic() - began < 15

    talk(coordinator(tmp_path, prm_url), conversation)


async def held(client: httpx2.AsyncClient, batch_id: str) -> dict[str, Any]:
    for _ in range(600):
        shown = (await client.get(f"/v1/batches/{batch_id}")).json()
        if shown["problem"]:
            return dict(shown)
        await asyncio.sleep(0.05)
    raise AssertionError(shown)


def test_what_was_answered_before_the_input_was_lost_is_kept(tmp_path: Path, prm: Prm, prm_url: str) -> None:
    prm.seconds = 0.1

    async def conversation(client: httpx2.AsyncClient) -> None:
        batch = (await begin(client, lines(*map(str, range(300))))).json()
        while len(prm.asked) < 3:
            await asyncio.sleep(0.05)
        (tmp_path / ".mstar" / "files" / batch["input_file_id"]).unlink()
        lost = await ended(client, batch["id"])
        assert lost["status"] == "failed" and "is gone" in lost["errors"]["data"][0]["message"]
        done = lost["request_counts"]["completed"]
        assert 2 <= done < 300 and len(await rows(client, lost["output_file_id"])) == done

    talk(coordinator(tmp_path, prm_url), conversation)


@pytest.mark.faults(
    "two coordinators at one PostgreSQL; in one case the connection of the one that processes a batch is cut while "
    "the PRM answers",
    "the other one goes on, and each line has one answer",
)
@pytest.mark.parametrize("cut", [False, True], ids=["", "cut"])
def test_two_coordinators_at_one_database_answer_each_line_once(home: Path, prm: Prm, prm_url: str, cut: bool) -> None:
    if database_of(home).startswith("sqlite"):
        pytest.skip("a second coordinator at a SQLite file does not start")
    questions = [str(number) for number in range(10 if cut else 40)]
    apps = []
    for _ in range(2):
        settings = CoordinatorSettings(broker_url="redis://unused", home=home, data_root=home, prm_url=prm_url)
        apps.append(build_app(settings, open_store(database_of(home)), MemoryPublisher(), HandClock()))

    async def conversation(client: httpx2.AsyncClient) -> None:
        prm.seconds = 1.5 if cut else 0.0
        batch = (await begin(client, lines(*questions))).json()["id"]
        if cut:
            while not prm.asked:
                await asyncio.sleep(0.02)
            await asyncio.to_thread(_cut_batons, database_of(home))
            # Both have a line in hand now, and whoever lost the connection gets its answer first.
            while len(prm.asked) < 2:
                await asyncio.sleep(0.02)
            await asyncio.sleep(1.0)
            prm.seconds = 0.0
        done = await ended(client, batch)
        assert done["request_counts"] == {"total": len(questions), "completed": len(questions), "failed": 0}
        assert [row["custom_id"] for row in await rows(client, done["output_file_id"])] == [
            f"q-{one}" for one in questions
        ]

    with serving(apps[1]):
        talk(apps[0], conversation)
    assert cut or prm.asked == questions


def _cut_batons(url: str) -> None:
    """End the connections that hold a lock of who works batches off, as a server that fails over does."""
    engine = create_engine(url)
    with engine.connect() as connection:
        holding = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
        ended = connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM ({holding}) AS held").all()
    engine.dispose()
    assert ended, "somebody works batches off"
