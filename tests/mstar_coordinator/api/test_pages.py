"""The pages for people: what they show, that they escape what others wrote, and load nothing from another host."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from coordinator_bench import SMALL, MemoryPublisher
from door_bench import BOOTSTRAP, bearer, door, make_key
from mstar.api.runs import Progress, Run
from mstar.evolution import RunState
from mstar.results import RunResults, SweepResult
from mstar_coordinator.api.pages.views import run_line, sweep_map
from pages_bench import EVIL, client_of, indexed, start, work
from web_bench import talk


@pytest.fixture
def client(home: Path, publisher: MemoryPublisher) -> Iterator[httpx2.Client]:
    yield from client_of(home, publisher)


def test_without_a_run_the_page_says_how_to_start_one(client: httpx2.Client) -> None:
    first = client.get("/")
    assert (first.status_code, first.headers["location"]) == (307, "runs")
    assert "mstar run start demo" in client.get("/runs").text


def test_a_run_is_listed_and_shown_with_its_state(client: httpx2.Client) -> None:
    run_id = start(client)
    listed = client.get("/runs").text
    assert f'href="/runs/{run_id}"' in listed and "running" in listed
    page = client.get(f"/runs/{run_id}")
    assert page.headers["content-type"].startswith("text/html")
    assert "run.created" in page.text and "0 of" in page.text
    client.post(f"/v1/runs/{run_id}/cancel", json={})
    ended = client.get(f"/runs/{run_id}/now").text
    assert "cancelled" in ended and 'data-action="pause"' in page.text and "data-action" not in ended


def test_who_may_only_read_is_offered_no_button(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> list[list[str]]:
        admin, reader = BOOTSTRAP["run_admin"], (await make_key(client, "read")).key
        run = (await client.post("/v1/runs", json={"recipe": "demo"}, headers=bearer(admin))).json()["id"]
        paths = ("/runs", f"/runs/{run}", f"/runs/{run}/now")
        return [[(await client.get(path, headers=bearer(key))).text for path in paths] for key in (admin, reader)]

    changed, read = talk(door(tmp_path), conversation)
    assert "Start a run" in changed[0] and all('data-action="pause"' in page for page in changed[1:])
    assert "Start a run" not in read[0] and not any("data-action" in page or "Archive" in page for page in read[1:])


def test_a_run_that_does_not_exist_is_a_problem(client: httpx2.Client) -> None:
    for path in ("/runs/r-none", "/runs/r-none/now", "/runs/r-none/responses"):
        assert client.get(path).json()["code"] == "not-found"
    assert client.get("/runs?after=<x>").status_code == 422


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/runs/r-none", 404, "does not exist"),
        (f"/runs/{EVIL.replace('/', '%2f')}", 404, "has no route"),
        ("/runs?state=<b>", 422, "state"),
        ("/studies/s-none", 404, "does not exist"),
        ("/nothing", 404, "has no route"),
    ],
)
def test_a_person_reads_what_went_wrong_on_a_page(client: httpx2.Client, path: str, status: int, said: str) -> None:
    page = client.get(path, headers={"accept": "text/html,application/xhtml+xml"})
    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    (sentence,) = re.findall(r'role="alert" class="problem">(.*?)</p>', page.text)
    assert said in sentence and "<" not in sentence and EVIL not in page.text
    assert 'href="/runs"' in page.text and page.headers["x-request-id"]
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert client.get(path).headers["content-type"] == "application/problem+json"


def test_responses_are_shown_with_their_verdicts_and_escaped(
    client: httpx2.Client, publisher: MemoryPublisher, home: Path
) -> None:
    run_id = start(client)
    assert "This run has no responses yet" in client.get(f"/runs/{run_id}/responses").text
    work(client, publisher, home, "it01/generate/0000")
    page = indexed(client, f"/runs/{run_id}/responses?iteration=1")
    assert page.count('class="response right"') == 2 and page.count('class="response"') == 2
    for path in ("/runs", f"/runs/{run_id}", f"/runs/{run_id}/responses?iteration=1"):
        assert EVIL not in client.get(path).text


def test_a_page_loads_only_from_its_own_host_and_runs_no_script_in_it(client: httpx2.Client) -> None:
    run_id = start(client)
    for path in ("/runs", f"/runs/{run_id}"):
        page = client.get(path)
        assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert loaded and all(one.startswith(("/", "data:,")) for one in loaded)
        assert not re.search(r"<script(?![^>]* src=)|\son\w+=", page.text)
    for name in re.findall(r"/files/[\w.]+", page.text):
        assert client.get(name).status_code == 200


def results(**fields: object) -> RunResults:
    return RunResults.model_validate({"id": "r-1", "name": "n", "state": RunState.RUNNING, "recipe": SMALL, **fields})


def test_the_map_has_a_column_for_each_sweep_and_marks_what_was_chosen() -> None:
    sweeps = (
        SweepResult(iteration=2, curve={"0.5": 0.2, "1.0": 0.6}, chosen=1.0),
        SweepResult(iteration=4, curve={"0.5": 0.4, "1.5": 0.3}, chosen=0.5),
    )
    found = sweep_map(results(sweeps=sweeps))
    assert found is not None and found.iterations == (2, 4)
    assert [temperature for temperature, _ in found.rows] == [1.5, 1.0, 0.5]
    cells = dict(found.rows)
    best, least = cells[1.0][0], cells[0.5][0]
    assert best is not None and least is not None and cells[1.0][1] is None
    assert (best.shade, best.chosen, least.shade, least.chosen) == (100, True, 8, False)
    assert sweep_map(results()) is None


def test_a_line_counts_the_gain_from_warm_up() -> None:
    run = Run(
        id="r-1",
        name="n",
        state=RunState.RUNNING,
        created_at=0.0,
        updated_at=0.0,
        iterations=2,
        recipe=SMALL,
        progress=Progress(steps_done=1, steps_total=4, stage="it01/generate"),
    )
    warm = {"id": 0.2, "ood": 0.1, "by_task": {}}
    one = {
        **{"index": 1, "temperature": 0.7, "greedy": 0.5, "ood": 0.4, "sampled_accuracy": 0.3},
        **{"questions": 8, "responses": 32, "kept": 9, "weight_version": "v"},
    }
    line = run_line(run, results(test={"warmup": warm}, iterations=[one]), 7200.0)
    assert (line.percent, line.greedy, line.ood, line.temperature) == (25, 50.0, 40.0, 0.7)
    assert (line.age, line.left) == ("2 h", "under a minute")
    assert line.gain == pytest.approx(30.0)
    before = run_line(run, results(test={"warmup": warm}), 0.0)
    assert (before.greedy, before.gain) == (20.0, None)
