"""The pages of evaluations: what was measured, tables with intervals, responses, and what to do in each state."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from coordinator_bench import MemoryPublisher
from example_rows import rollout
from finished_evaluation import begun, evaluated
from mstar.api.responses import ResponseQuery
from mstar.judges import BENCHMARKS
from mstar.recipes import MeasuredSet, MeasureRecipe, Recipe
from mstar.reward import RewardRule
from mstar.types import ScoreRow, StepScores
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.responses.filling import NEVER, Shard, fill
from mstar_coordinator.responses.searching import search
from mstar_coordinator.responses.sources import sources_of
from mstar_coordinator.responses.tables import open_for_writing
from pages_bench import EVIL, client_of, indexed, start


@pytest.fixture
def client(home: Path, publisher: MemoryPublisher) -> Iterator[httpx2.Client]:
    yield from client_of(home, publisher)


def words(page: str) -> str:
    """The text of a page, without its tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_evaluations_are_listed_apart_from_runs_with_what_they_found(
    client: httpx2.Client, publisher: MemoryPublisher, home: Path
) -> None:
    assert "mstar eval latest --data FOLDER --through-queue" in client.get("/evaluations").text
    made = evaluated(client, publisher, home, begun(client, home))
    run = start(client)
    listed = client.get("/evaluations").text
    assert f'href="/runs/{made}"' in listed and run not in listed
    assert "MathVista 35.0 18.1 to 56.7 AI2D 35.0 18.1 to 56.7" in words(listed)
    assert made not in client.get("/runs").text
    assert "No evaluation meets this filter" in client.get("/evaluations?state=running").text
    client.patch(f"/v1/runs/{made}", json={"tags": ["archived", "paper"]})
    assert made not in client.get("/evaluations").text
    assert 'href="/evaluations?tag=paper"' in client.get("/evaluations?tag=paper&archived=true").text
    assert client.get("/evaluations?state=odd").status_code == 422


def test_an_evaluation_shows_what_it_measured_and_its_tables(
    client: httpx2.Client, publisher: MemoryPublisher, home: Path
) -> None:
    made = evaluated(client, publisher, home, begun(client, home, samples=4, temperature=0.7, limit=5))
    page = client.get(f"/runs/{made}").text
    text = words(page)
    assert "Evaluation of minivista" in text and "builtin:minivista" in text
    made_of = client.get(f"/v1/evaluations/{made}").json()
    assert f"MathVista ({made_of['sets']['mathvista']} prompts), AI2D (5 prompts); at most 5 questions of each" in text
    assert "n = 4 responses a question at T = 0.7, ranked by no PRM" in text and "at most 1,024 tokens" in text
    for table in made_of["results"].values():
        assert len(table["lines"]) == 3
        for line in table["lines"]:
            for cell in (line["average"], *(one for name, one in line["columns"].items() if name != "ALL")):
                low, high = (100 * cell["interval"][end] for end in ("low", "high"))
                assert f"{100 * cell['share']:.1f} {low:.1f} to {high:.1f}" in text
    assert "mean of 4" in text and "any of 4" in text and "Average of the 2 benchmarks:" in text
    assert "2 items could not be asked and count as wrong" in text and EVIL not in page
    assert f'href="/v1/evaluations/{made}"' in page and f'href="/runs/{made}/responses?iteration=1"' in page
    assert "One more iteration" not in page and "/clone" not in page and "Learning" not in page
    assert 'data-list="/evaluations"' in page and "Delete" in page


def test_each_state_says_what_to_do(client: httpx2.Client, publisher: MemoryPublisher, home: Path) -> None:
    made = begun(client, home)
    running = words(client.get(f"/runs/{made}/now").text)
    assert "appear here once every benchmark is sampled" in running and "One greedy response a question" in running
    assert "evaluation of mathvista" in running and "0 of 4 steps" in running
    assert (
        "no responses yet: they appear here shard by shard once it samples"
        in client.get(f"/runs/{made}/responses").text
    )
    evaluated(client, publisher, home, made, until="prepare")
    client.post(f"/v1/runs/{made}/pause", json={})
    assert "press Resume, and it continues where it stopped" in client.get(f"/runs/{made}/now").text
    client.post(f"/v1/evaluations/{made}/cancel", json={})
    ended = client.get(f"/runs/{made}/now").text
    assert "cancelled before its tables were made" in ended and "data-action" not in ended


def test_the_responses_of_an_evaluation_are_found_set_by_set(
    client: httpx2.Client, publisher: MemoryPublisher, home: Path
) -> None:
    made = evaluated(client, publisher, home, begun(client, home, samples=2))
    page = indexed(client, f"/runs/{made}/responses?iteration=1&limit=1")
    assert "AI2D" in page and ">Set <" in page and EVIL not in page
    for absent in ("TRL with images", "left out", "Kept <", "warm-up", "Ranked by"):
        assert absent not in page, absent
    found = client.get(f"/v1/runs/{made}/responses", params={"iteration": 1, "verdict": "correct", "limit": 100}).json()
    assert {one["question"]["split"] for one in found["data"]} == {"ai2d"}
    assert all(any(response["correct"] for response in one["responses"]) for one in found["data"])
    lines = client.get(f"/v1/runs/{made}/responses/export?iteration=0").text.splitlines()
    assert len(lines) == 2 * 20
    refused = client.get(f"/v1/runs/{made}/responses/export?iteration=0&format=trl")
    assert (refused.status_code, refused.json()["field"]) == (422, "format")


def test_what_needs_a_recipe_of_a_run_is_refused_for_an_evaluation(client: httpx2.Client, home: Path) -> None:
    made = begun(client, home)
    clone = client.get(f"/runs/{made}/clone")
    assert clone.status_code == 409 and "is an evaluation" in clone.json()["detail"]
    compared = client.get("/compare", params={"run": [made, start(client)]})
    assert compared.status_code == 422 and "--against FOLDER" in compared.json()["detail"]


def test_scores_of_an_evaluation_count_every_step_as_its_ranking_does(tmp_path: Path) -> None:
    store, index = ArtefactStore(tmp_path), open_for_writing(tmp_path / "i.sqlite")
    row = rollout([True, False], name="ai2d/1")
    steps = ("step", "## Answer\n\n42")
    scores = ScoreRow(
        question_id=row.question.id,
        prm_version="p",
        responses=tuple(StepScores(index=one, steps=steps, scores=(0.9, 0.1 + one / 2)) for one in range(2)),
    )
    measure = MeasureRecipe(model="m", sets={"ai2d": MeasuredSet(path="/x", items=1)}, n=2)
    rule = Recipe(name="r", measure=measure).reward_rule
    shard = Shard(
        "eval/ai2d/generate/0000", 0, 0, store.write_rows("r/a", [row], {}), store.write_rows("r/b", [scores], {}), None
    )
    fill(index, store, shard, rule)
    (found,) = search(index, ResponseQuery())
    assert [(one.index, one.reward, one.why) for one in found.responses] == [(1, 0.6, NEVER), (0, 0.1, NEVER)]
    assert found.prm_version == "p" and rule != RewardRule()
    index.close()


def test_the_sources_of_a_run_are_its_iterations_and_those_of_an_evaluation_its_sets() -> None:
    run = sources_of(Recipe(name="r"), 1)
    assert [(one.number, one.title, one.sampled, one.judged) for one in run] == [
        (0, "warm-up", "warmup/generate", "warmup/select"),
        (1, "iteration 1", "it01/generate", "it01/select"),
    ]
    sets = {name: MeasuredSet(path="/x", items=1) for name in ("ai2d", "mathvista")}
    measured = sources_of(Recipe(name="r", measure=MeasureRecipe(model="m", sets=sets)), 0)
    assert [(one.number, one.title, one.judged) for one in measured] == [
        (0, BENCHMARKS["ai2d"].title, "eval/ai2d/score"),
        (1, BENCHMARKS["mathvista"].title, "eval/mathvista/score"),
    ]
