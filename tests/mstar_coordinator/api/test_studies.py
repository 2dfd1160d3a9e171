"""`/v1/studies` over ASGI: a study is checked, run off by workers, shown, and its results are read in pages."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import httpx2
import pytest
from annotated_types import Le
from fastapi import FastAPI

import minivista
from coordinator_bench import SMALL, HandClock, MemoryPublisher, commit_of, database_of
from mstar.api.runs import Page
from mstar.api.steps import Claim
from mstar.api.studies import StudyCreate, StudyView
from mstar.client import Client, Endpoint
from mstar.errors import MstarError
from mstar.study.record import StudyRun
from mstar.study.same_recipe import recipe_values
from mstar_coordinator.api.app import build_app
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.store.database import open_store
from web_bench import talk

STUDY: dict[str, Any] = {
    "name": "mine",
    "base": json.loads(SMALL.model_dump_json()),
    "arms": {"all": {"prm": None, "evolution": {"selection": {"mode": "all"}}, "exploration": {"mode": "fixed"}},
             "top-2": {}},
    "seeds": [1, 2],
    "contrasts": [{"a": "top-2", "b": "all"}],
}  # fmt: skip


def test_the_model_folders_of_all_arms_are_read_in_the_time_of_one_request(home: Path) -> None:
    for name in ("one", "other"):
        shutil.copytree(minivista.MODEL_FOLDER, home / name)
    settings = CoordinatorSettings(
        broker_url="redis://unused", home=home / "runs", data_root=home, reserve_bytes=0, model_check_seconds=1e-6
    )
    store = open_store(database_of(home))
    app = build_app(settings, store, MemoryPublisher(), HandClock())
    arms = {
        "a": {"model": {"base": "one"}},
        "b": {"model": {"base": "one"}, "seed": 3},
        "c": {"model": {"base": "other"}},
    }
    study = STUDY | {"arms": arms, "contrasts": [{"a": "a", "b": "b"}]}

    async def ask(client: httpx2.AsyncClient) -> None:
        answer = await client.post("/v1/studies", json={"study": study})
        assert answer.status_code == 422, answer.text
        assert "'other' was not reached" in answer.json()["detail"]
        assert (await client.get("/v1/studies")).json()["data"] == []

    talk(app, ask)
    store.close()


async def begin(client: httpx2.AsyncClient, body: dict[str, Any], **headers: str) -> StudyView:
    answer = await client.post("/v1/studies", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    view = StudyView.model_validate_json(answer.content)
    assert answer.headers["location"] == f"/v1/studies/{view.id}"
    return view


async def work(client: httpx2.AsyncClient, publisher: MemoryPublisher, study_id: str) -> StudyView:
    """Be the workers until the study has ended."""
    for _ in range(4000):
        step = publisher.take()
        if step is None:
            view = StudyView.model_validate_json((await client.get(f"/v1/studies/{study_id}")).content)
            if view.state != "running":
                return view
            await asyncio.sleep(0.01)
            continue
        answer = await client.post(f"/internal/v1/steps/{step}/claim", json={"worker": "w"})
        claim = Claim.model_validate_json(answer.content)
        await client.post(f"/internal/v1/steps/{step}/commit", json=commit_of(claim).model_dump(mode="json"))
    raise AssertionError("the study did not end")


def test_a_study_is_run_and_its_results_are_read(app: FastAPI, publisher: MemoryPublisher) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        chosen = [{"arm": "top-2", "seed": 1}, {"arm": "all", "seed": 1}]
        view = await begin(client, {"study": STUDY, "runs": chosen})
        assert [(one.arm, one.seed, one.state) for one in view.runs] == [("all", 1, None), ("top-2", 1, None)]
        ended = await work(client, publisher, view.id)
        assert (ended.state, ended.error) == ("succeeded", None)
        assert [one.state for one in ended.runs] == ["succeeded"] * 2
        page = Page[StudyRun].model_validate_json((await client.get(f"/v1/studies/{view.id}/results?limit=1")).content)
        rest = f"/v1/studies/{view.id}/results?after={page.last_id}"
        last = Page[StudyRun].model_validate_json((await client.get(rest)).content)
        assert (page.has_more, last.has_more) == (True, False)
        (first,), (second,) = page.data, last.data
        assert (first.arm, second.arm, first.seed) == ("all", "top-2", 1)
        assert [one.label for one in second.policies] == ["base", "warmup", "it01"]
        assert second.cost.updates == 6 and second.cost.responses > first.cost.responses
        assert isinstance(ended.study.base, dict)
        assert first.recipe == recipe_values(ended.study.recipe(ended.study.base, "all", 1))
        listed = (await client.get("/v1/studies")).json()["data"]
        assert [one["id"] for one in listed] == [view.id]

    talk(app, conversation)


def test_a_study_says_what_holds_it_up(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        first = await begin(client, {"study": STUDY})
        second = await begin(client, {"study": STUDY | {"name": "later"}})

        async def problem(study: StudyView) -> str | None:
            return StudyView.model_validate_json((await client.get(f"/v1/studies/{study.id}")).content).problem

        assert await problem(first) is None
        assert await problem(second) == (
            f"studies are run one after the other, and mine ({first.id}) began before this one"
        )
        while (run := (await client.get(f"/v1/studies/{first.id}")).json()["runs"][0]["run"]) is None:
            await asyncio.sleep(0.01)
        assert (await client.post(f"/v1/runs/{run}/pause")).status_code == 200
        assert await problem(first) == f"run {run} (all, seed 1) is paused: mstar run resume {run}"
        assert (await client.post(f"/v1/runs/{run}/resume")).status_code == 200
        assert await problem(first) is None
        assert (await client.post(f"/v1/studies/{first.id}/cancel")).status_code == 200
        assert await problem(first) is None and await problem(second) is None

    talk(app, conversation)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"study": STUDY | {"base": "nope"}}, "recipe"),
        ({"study": STUDY | {"base": "../demo.yaml"}}, "recipe"),
        ({"study": STUDY | {"seeds": ["1"]}}, "seeds.0"),
        ({"study": STUDY | {"arms": {"all": {"evolution": {"n": 0}}, "top-2": {}}}}, "arms.all.evolution.n"),
        ({"study": STUDY | {"changes": {"data": {"source": "nowhere"}}}}, "data.source"),
        ({"study": STUDY, "runs": [{"arm": "x", "seed": 1}]}, "arms"),
        ({"study": STUDY, "runs": [{"arm": "all", "seed": 9}]}, "seeds"),
        ({}, "study"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_started(app: FastAPI, body: dict[str, Any], field: str) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        answer = await client.post("/v1/studies", json=body)
        assert answer.status_code in (403, 422), answer.text
        assert answer.json()["field"] == field
        assert (await client.get("/v1/studies")).json()["data"] == []

    talk(app, conversation)


def test_a_key_makes_a_retry_harmless_and_cancel_is_final(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        one = await begin(client, {"study": STUDY}, **{"Idempotency-Key": "k"})
        assert (await begin(client, {"study": STUDY}, **{"Idempotency-Key": "k"})).id == one.id
        other = await client.post(
            "/v1/studies", json={"study": STUDY | {"seeds": [1]}}, headers={"Idempotency-Key": "k"}
        )
        assert (other.status_code, other.json()["code"]) == (422, "idempotency-mismatch")
        assert (await client.post(f"/v1/studies/{one.id}/cancel", json={})).json()["state"] == "cancelled"
        again = await client.post(f"/v1/studies/{one.id}/resume", json={})
        assert (again.status_code, again.json()["code"]) == (409, "illegal-transition")
        assert (await client.get("/v1/studies/s-none")).status_code == 404

    talk(app, conversation)


def test_the_client_waits_for_as_long_as_the_checks_of_a_study_may_take() -> None:
    bounds = [CoordinatorSettings.model_fields[name] for name in ("model_check_seconds", "data_check_seconds")]
    most = sum(one.le for field in bounds for one in field.metadata if isinstance(one, Le))
    waits: list[float] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        waits.append(request.extensions["timeout"]["read"])
        return httpx2.Response(422, json={"code": "invalid-recipe", "detail": "no"})

    with Client(Endpoint(url="http://runs"), httpx2.MockTransport(answer)) as client, pytest.raises(MstarError):
        client.create_study(StudyCreate(study=STUDY))
    assert waits[0] > most > 0
