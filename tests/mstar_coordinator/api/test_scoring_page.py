"""The page for scoring one's own responses: who may open it, who may send it, and what it says where it can't work."""

from pathlib import Path

import httpx2

from door_bench import BOOTSTRAP, bearer, door, make_key
from web_bench import ask, talk


def test_without_a_prm_it_says_what_to_set(tmp_path: Path) -> None:
    page = ask(door(tmp_path), "GET", "/scoring", headers=bearer(BOOTSTRAP["run_admin"])).text
    assert "MSTAR_COORDINATOR_PRM_URL" in page and '<button type="submit" disabled>' in page


def test_only_a_key_that_may_score_can_send_it(tmp_path: Path) -> None:
    app = door(tmp_path, prm_url="http://127.0.0.1:9", score_key="k-score")

    async def conversation(client: httpx2.AsyncClient) -> list[str]:
        keys = [(await make_key(client, *roles)).key for roles in (("score",), ("read",), ("score", "read"))]
        return [(await client.get("/scoring", headers=bearer(key))).text for key in keys]

    scorer, reader, both = talk(app, conversation)
    assert "disabled" not in scorer and "disabled" not in both
    assert "disabled" in reader and "has the role <code>score</code>" in reader


def test_nobody_sees_it_without_a_key_and_internal_keys_are_refused(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> list[int]:
        given = ({}, bearer(BOOTSTRAP["internal"]))
        return [(await client.get("/scoring", headers=headers)).status_code for headers in given]

    assert talk(door(tmp_path), conversation) == [401, 403]
