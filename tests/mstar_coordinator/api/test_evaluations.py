"""`/v1/evaluations` over ASGI: what is wrong is named at once, and an evaluation is not a run in the lists of runs."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from coordinator_bench import MemoryPublisher, commit_of
from finished_evaluation import ASKED, copy_published
from mstar.api.evaluations import Evaluation
from mstar.api.steps import Claim
from mstar_artefacts.store import ArtefactStore
from web_bench import talk


@pytest.fixture(autouse=True)
def _published(home: Path) -> None:
    """The benchmarks' files lie where data may lie."""
    copy_published(home)


async def begin(client: httpx2.AsyncClient, body: dict[str, Any], **headers: str) -> Evaluation:
    answer = await client.post("/v1/evaluations", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    made = Evaluation.model_validate_json(answer.content)
    assert answer.headers["location"] == f"/v1/evaluations/{made.id}"
    return made


async def work(client: httpx2.AsyncClient, publisher: MemoryPublisher, run_id: str, home: Path) -> None:
    """Be the workers until the run has ended; every artefact is there, and empty."""
    store = ArtefactStore(home / "runs")
    for _ in range(4000):
        step = publisher.take()
        if step is None:
            if (await client.get(f"/v1/runs/{run_id}")).json()["state"] != "running":
                return
            await asyncio.sleep(0.01)
            continue
        answer = await client.post(f"/internal/v1/steps/{step}/claim", json={"worker": "w"})
        if answer.status_code == 409:
            continue  # of a run that was cancelled meanwhile
        claim = Claim.model_validate_json(answer.content)
        commit = commit_of(claim)
        if commit.artefact is not None:
            commit = commit.model_copy(update={"artefact": store.write_rows(claim.output_id, [], {})})
        await client.post(f"/internal/v1/steps/{step}/commit", json=commit.model_dump(mode="json"))
    raise AssertionError("the run did not end")


def test_it_goes_through_the_queues_and_stands_beside_the_runs(
    app: FastAPI, publisher: MemoryPublisher, home: Path
) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        run = (await client.post("/v1/runs", json={"recipe": {"name": "r", "evolution": {"iterations": 0}}})).json()
        made = await begin(client, ASKED, **{"Idempotency-Key": "k"})
        assert (made.sets, made.samples, made.state) == ({"mathvista": 20, "ai2d": 20}, 1, "running")
        assert (await begin(client, ASKED, **{"Idempotency-Key": "k"})).id == made.id
        steps = [one["name"] for one in (await client.get(f"/v1/runs/{made.id}/steps")).json()["data"]]
        assert steps == ["prepare", "eval/mathvista/generate/0000", "eval/ai2d/generate/0000", "measure"]
        assert [one["id"] for one in (await client.get("/v1/evaluations")).json()["data"]] == [made.id]
        assert [one["id"] for one in (await client.get("/v1/runs")).json()["data"]] == [run["id"]]
        assert (await client.get(f"/v1/evaluations/{run['id']}")).status_code == 404
        more = await client.post(f"/v1/runs/{made.id}/iterations", json={})
        assert (more.status_code, more.json()["code"]) == (409, "illegal-transition")
        await client.post(f"/v1/runs/{run['id']}/cancel", json={})
        await work(client, publisher, made.id, home)
        ended = Evaluation.model_validate_json((await client.get(f"/v1/evaluations/{made.id}")).content)
        assert (ended.state, ended.progress.stage, ended.problem) == ("succeeded", "done", None)
        assert (await client.get(f"/v1/runs/{made.id}/results")).json()["test"] == {}
        # Files of a run are written beside its requests.
        for _ in range(2000):
            if (home / "runs" / "latest").is_symlink():
                break
            await asyncio.sleep(0.01)
        assert (home / "runs" / "latest").readlink() == Path(run["id"]), "`latest` is the newest run"
        assert (await client.get("/runs")).status_code == (await client.get(f"/runs/{made.id}")).status_code == 200
        other = await begin(client, ASKED)
        gone = await client.post(f"/v1/evaluations/{other.id}/cancel", json={})
        assert gone.json()["state"] == "cancelled"
        again = await client.post(f"/v1/evaluations/{other.id}/resume", json={})
        assert (again.status_code, again.json()["code"]) == (409, "illegal-transition")

    talk(app, conversation)


def test_a_runs_checkpoint_is_measured_with_the_runs_own_prm(
    app: FastAPI, publisher: MemoryPublisher, home: Path
) -> None:
    small = {
        "name": "small", "warmup": {"questions": 4}, "prm": {"questions": 4, "own_questions": False},
        "data": {"train": 8, "validation": 4, "test_id": 4, "test_ood": 0}, "exploration": {"mode": "fixed"},
        "evolution": {"iterations": 0}, "evaluation": {"n": 1, "k": 1},
        "prompt": {"preset": "boxed", "step_separator": "\n"},
    }  # fmt: skip

    async def conversation(client: httpx2.AsyncClient) -> None:
        run = (await client.post("/v1/runs", json={"recipe": small})).json()
        early = await client.post("/v1/evaluations", json=ASKED | {"model": run["id"]})
        assert early.status_code == 422 and early.json()["field"] == "checkpoint"
        assert "no checkpoint yet" in early.json()["detail"]
        await work(client, publisher, run["id"], home)
        made = await begin(client, ASKED | {"model": run["id"], "samples": 4, "sets": ["ai2d"]})
        assert made.weight_version is not None and made.weight_version.startswith(f"{run['id']}/warmup/train@")
        steps = [one["name"] for one in (await client.get(f"/v1/runs/{made.id}/steps")).json()["data"]]
        assert steps == ["prepare", "reward/fetch", "eval/ai2d/generate/0000", "eval/ai2d/score/0000", "measure"]
        recipe = (await client.get(f"/v1/runs/{made.id}")).json()["recipe"]
        assert recipe["measure"]["prm_checkpoint"]["id"] == f"{run['id']}/reward/train"
        assert (recipe["measure"]["prompt"], recipe["measure"]["form"]["answer"]) == ("run", "boxed")
        assert recipe["prompt"]["step_separator"] == "\n", "steps are cut as the run cuts them"
        warm = await begin(client, ASKED | {"model": run["id"], "checkpoint": "warmup", "samples": 2, "prm": "none"})
        assert warm.model == f"{run['id']}-warmup" and warm.progress.steps_total == 4
        unknown = await client.post("/v1/evaluations", json=ASKED | {"model": run["id"], "checkpoint": "it07"})
        assert unknown.status_code == 422 and "no checkpoint it07" in unknown.json()["detail"]
        itself = await client.post("/v1/evaluations", json=ASKED | {"model": made.id})
        assert itself.status_code == 422 and "itself an evaluation" in itself.json()["detail"]

    talk(app, conversation)


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"sets": ["mathvisto"]}, "sets", "is not a benchmark here: use mathvista"),
        ({"sets": []}, "sets", ""),
        ({"data": None}, "data", "set data to a folder"),
        ({"data": "nowhere"}, "data", "is not a file or folder"),
        ({"data": "/"}, "data", "must lie below the folder that the operator allows"),
        ({"data": "recipes"}, "data", ""),
        ({"files": {"mathvista": "../x"}}, "files.mathvista", "must lie below"),
        ({"files": {"nope": "published"}}, "files", "is not a benchmark here"),
        ({"model": "a\x00b"}, "model", ""),
        ({"model": "r-none"}, "model", "nor a run's id"),
        ({"model": "published"}, "model", "holds no model"),
        ({"checkpoint": "it01"}, "checkpoint", "names a policy of a run"),
        ({"checkpoint": "../it01"}, "checkpoint", ""),
        ({"samples": "4"}, "samples", ""),
        ({"samples": 2, "prm": "published"}, "prm.base", ""),
        ({"prompt": "nice"}, "prompt", "use one of auto, official"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_started(
    app: FastAPI, change: dict[str, Any], field: str, words: str
) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        answer = await client.post("/v1/evaluations", json=ASKED | change)
        assert answer.status_code in (403, 422), answer.text
        assert answer.json()["field"] == field and words in answer.json()["detail"]
        assert (await client.get("/v1/evaluations")).json()["data"] == []

    talk(app, conversation)


def test_no_recipe_of_a_users_measures(app: FastAPI) -> None:
    async def conversation(client: httpx2.AsyncClient) -> None:
        recipe = {"name": "r", "measure": {"model": "m", "sets": {"ai2d": {"path": "/etc", "items": 1}}}}
        answer = await client.post("/v1/runs", json={"recipe": recipe})
        assert (answer.status_code, answer.json()["field"]) == (422, "measure")

    talk(app, conversation)
