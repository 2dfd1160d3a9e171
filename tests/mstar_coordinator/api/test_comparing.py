"""Runs side by side: lines over seeds, paired differences, fields that differ; and the pages of studies."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from coordinator_bench import SMALL, HandClock, MemoryPublisher
from door_bench import bearer, door, make_key
from finished_run import finished
from mstar.evolution import RunState
from mstar.results import RunResults
from mstar_coordinator.api.pages.compared import Against, compared, differing, grouped
from pages_bench import client_of, start
from web_bench import talk


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared")


@pytest.fixture(scope="module")
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture(scope="module")
def client(home: Path, publisher: MemoryPublisher) -> Iterator[httpx2.Client]:
    yield from client_of(home, publisher)


@pytest.fixture(scope="module")
def runs(client: httpx2.Client, publisher: MemoryPublisher, home: Path) -> list[str]:
    """Two seeds of one recipe, and one of another recipe whose policies are better."""
    other = {"name": "other", "evolution.n": 8}
    first = [finished(client, publisher, home, seed=seed) for seed in (1, 2)]
    return [*first, finished(client, publisher, home, seed=1, better=0.2, changes=other)]


def results(client: httpx2.Client, run_id: str) -> RunResults:
    return RunResults.model_validate_json(client.get(f"/v1/runs/{run_id}/results").content)


def seeded(run: RunResults, seed: int) -> RunResults:
    """The same run as if it had another seed."""
    return run.model_copy(update={"id": f"{run.id}-{seed}", "recipe": run.recipe.model_copy(update={"seed": seed})})


def test_seeds_of_one_recipe_are_a_line_and_a_second_run_of_a_seed_is_not(
    client: httpx2.Client, runs: list[str]
) -> None:
    one, two, other = (results(client, run) for run in runs)
    groups = grouped([one, other, two])
    assert [(group.name, list(group.by_seed)) for group in groups] == [("small", [1, 2]), ("other", [1])]
    twice = grouped([one, two, one])
    assert [len(group.runs) for group in twice] == [2, 1]
    assert twice[0].name == f"small {runs[0]}", "equal names are told apart"
    assert differing(twice) == ()


def test_differences_are_paired_by_seed_and_question(client: httpx2.Client, runs: list[str]) -> None:
    one, two, other = (results(client, run) for run in runs)
    found = compared([one, two, other, seeded(other, 2)])
    first, second = found.rows
    assert first.against == () and first.group.last == 2
    cell, difference = second.cells[0], second.against[0]
    assert cell is not None and cell.low is not None and cell.low <= cell.mean
    assert isinstance(difference, Against) and difference.basis == "2 seeds, 200 questions"
    assert first.cells[0] is not None
    assert difference.points == pytest.approx(cell.mean - first.cells[0].mean)
    assert difference.low is not None and difference.high is not None
    assert difference.low < difference.points < difference.high


def test_single_runs_are_paired_by_question_even_with_other_seeds(client: httpx2.Client, runs: list[str]) -> None:
    found = compared([results(client, run) for run in runs[1:]])
    difference = found.rows[1].against[0]
    assert isinstance(difference, Against) and difference.basis == "200 questions, one seed"
    assert difference.low is not None and difference.high is not None
    assert difference.low < difference.points < difference.high
    drawings = {title: drawn for title, drawn, _ in found.charts}
    assert "<polygon" in drawings["Greedy on test-id"] and "other" in drawings["Greedy on test-id"]


def test_what_cannot_be_compared_says_why(client: httpx2.Client, runs: list[str]) -> None:
    one, _, other = (results(client, run) for run in runs)

    def said(*runs: RunResults) -> object:
        return compared(runs).rows[1].against[0]

    assert said(one, RunResults(id="r-9", name="new", state=RunState.RUNNING, recipe=SMALL)) == "not measured yet"
    foreign = {
        label: {test: mark.model_copy(update={"ids": "f" * 16}) for test, mark in tests.items()}
        for label, tests in other.marks.items()
    }
    assert said(one, other.model_copy(update={"marks": foreign})) == "measured on other questions"
    assert said(one, other.model_copy(update={"marks": {}})) == "not measured on both"
    assert said(one, seeded(other, 4), seeded(other, 5)) == "no seed in common"


def test_the_page_shows_lines_differences_and_fields(client: httpx2.Client, runs: list[str]) -> None:
    page = client.get("/compare", params={"run": runs}).text
    assert page.count("<svg") == 6 and "200 questions, one seed" in page
    assert "<code>evolution.n</code>" in page and "<code>seed</code>" not in page
    assert f"?run={runs[2]}&amp;run={runs[0]}&amp;run={runs[1]}" in page, "the other line can be put first"


def test_fewer_than_two_runs_say_what_to_do_and_unknown_ones_are_refused(
    client: httpx2.Client, runs: list[str]
) -> None:
    assert "Mark two or more" in client.get("/compare").text
    assert "nothing beside it" in client.get("/compare", params={"run": [runs[0], runs[0]]}).text
    assert client.get("/compare?run=r-none&run=r-no").json()["code"] == "not-found"
    assert client.get("/compare", params={"run": ["r-1"] * 65}).status_code == 422
    assert f'value="{runs[0]}"' in client.get("/runs").text


def test_runs_of_another_project_are_not_there(tmp_path: Path) -> None:
    async def conversation(client: httpx2.AsyncClient) -> list[int]:
        theirs = await make_key(client, "run_admin", project="theirs")
        ours = await make_key(client, "read", project="ours")
        body = {"recipe": json.loads(SMALL.model_dump_json())}
        made = [await client.post("/v1/runs", json=body, headers=bearer(theirs.key)) for _ in range(2)]
        path = "/compare?" + "&".join(f"run={one.json()['id']}" for one in made)
        return [(await client.get(path, headers=bearer(key))).status_code for key in (theirs.key, ours.key)]

    assert talk(door(tmp_path, HandClock()), conversation) == [200, 404]


def test_studies_are_listed_and_shown_with_their_runs(
    client: httpx2.Client, publisher: MemoryPublisher, home: Path
) -> None:
    assert "No study yet" in client.get("/studies").text
    study = {
        "name": "mine",
        "base": json.loads(SMALL.model_dump_json()),
        "arms": {"all": {"exploration": {"mode": "fixed"}}, "top-2": {}},
        "seeds": [1],
        "contrasts": [{"a": "top-2", "b": "all"}],
    }
    made = client.post("/v1/studies", json={"study": study})
    assert made.status_code == 202, made.text
    path = f"/studies/{made.json()['id']}"
    assert f'href="{path}"' in client.get("/studies").text
    page = client.get(path).text
    assert "waits for its turn" in page and "Comparisons appear here" in page
    client.post(f"/v1{path}/cancel", json={})
    assert "cancelled" in client.get(path).text
    assert client.get("/studies/s-none").json()["code"] == "not-found"
    assert start(client) in client.get("/runs").text
