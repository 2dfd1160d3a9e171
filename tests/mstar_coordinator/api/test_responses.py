"""Responses of a run are searched over HTTP, come along as files, and belong to that run alone."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from coordinator_bench import SMALL, MemoryPublisher
from example_rows import rollout
from mstar.api.responses import FoundPage, ResponseQuery
from mstar.reward import RewardRule
from mstar.selection_rules import SelectionRecipe
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.responses.exporting import found as rows_of
from mstar_coordinator.responses.exporting import trl_zip
from mstar_coordinator.responses.filling import Shard, fill
from mstar_coordinator.responses.tables import open_for_writing
from pages_bench import EVIL, client_of, indexed, start, work


def indexed_run(home: Path) -> Iterator[tuple[httpx2.Client, str]]:
    """A run with two questions of two responses each, all of them in the index."""
    publisher = MemoryPublisher()
    for client in client_of(home, publisher):
        made = start(client)
        work(client, publisher, home, "it01/generate/0000")
        indexed(client, f"/runs/{made}/responses")
        yield client, made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx2.Client, str]]:
    """One run for all tests that only read."""
    yield from indexed_run(tmp_path_factory.mktemp("home"))


@pytest.fixture
def client(shared: tuple[httpx2.Client, str]) -> httpx2.Client:
    return shared[0]


@pytest.fixture
def run_id(shared: tuple[httpx2.Client, str]) -> str:
    return shared[1]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[httpx2.Client, str]]:
    """A run for one test, whose index it breaks."""
    yield from indexed_run(tmp_path)


def found(client: httpx2.Client, run_id: str, **query: str | int) -> FoundPage:
    return FoundPage.model_validate_json(client.get(f"/v1/runs/{run_id}/responses", params=query).content)


def test_pages_follow_each_other_by_cursor(client: httpx2.Client, run_id: str) -> None:
    first = found(client, run_id, iteration=1, limit=1)
    assert len(first.data) == 1 and first.has_more and first.index.indexed == first.index.shards == 1
    second = found(client, run_id, iteration=1, limit=1, after=str(first.last_id))
    assert [one.place for one in (*first.data, *second.data)] == [0, 1] and not second.has_more
    (right,) = [one for one in first.data[0].responses if one.correct]
    only = found(client, run_id, verdict="correct", text="step 0")
    assert [r.index for one in only.data for r in one.responses if r.found] == [right.index] * 2


@pytest.mark.parametrize(
    "query", ["verdict=maybe", "min_score=2", "sort=up", "after=x", "limit=0", "iteration=-1", "unknown=1", "after=1:a"]
)
def test_a_query_that_cannot_be_is_refused_with_its_field(client: httpx2.Client, run_id: str, query: str) -> None:
    for path in (f"/v1/runs/{run_id}/responses", f"/runs/{run_id}/responses"):
        refused = client.get(f"{path}?{query}")
        assert refused.status_code == 422 and query.partition("=")[0] in refused.text


def test_fields_of_a_form_that_nobody_filled_in_mean_nothing(client: httpx2.Client, run_id: str) -> None:
    form = "iteration=&group=&temperature=&verdict=&kept=&min_score=&max_score=&text=&sort=place"
    assert client.get(f"/v1/runs/{run_id}/responses?{form}").json() == client.get(f"/v1/runs/{run_id}/responses").json()


def test_a_selection_comes_along_as_json_lines(client: httpx2.Client, run_id: str) -> None:
    answer = client.get(f"/v1/runs/{run_id}/responses/export?iteration=1&verdict=correct")
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert [(row["iteration"], row["index"], row["correct"]) for row in rows] == [(1, 0, True)] * 2
    assert rows[0]["question_id"].startswith("q<script>") and rows[0]["kept_reason"] == "not selected yet"
    assert "attachment" in answer.headers["content-disposition"]


def test_part_of_a_selection_never_passes_for_the_whole(client: httpx2.Client, run_id: str) -> None:
    # The example's warm-up left an artefact that is not there.
    refused = client.get(f"/v1/runs/{run_id}/responses/export")
    assert refused.status_code in (409, 503) and "shard" in refused.json()["detail"]
    page = client.get(f"/runs/{run_id}/responses").text
    assert "A shard is left out" in page and f"mstar run repair {run_id}" in page


def test_the_archive_for_trl_has_prompts_completions_and_images(tmp_path: Path) -> None:
    store, index = ArtefactStore(tmp_path), open_for_writing(tmp_path / "i.sqlite")
    rows = [rollout([True, False], name=f"q{place}") for place in range(150)]
    # One image is the usual; others come as several, or none.
    for place, images in ((1, ("2" * 64, "0" * 64, "2" * 64)), (2, ())):
        question = rows[place].question.model_copy(update={"images": images})
        rows[place] = rows[place].model_copy(update={"question": question})
    rollouts = store.write_rows("r/rows", rows, {})
    fill(index, store, Shard("it01/generate/0000", 1, 0, rollouts, None, SelectionRecipe()), RewardRule())
    parts = trl_zip(rows_of(index, ResponseQuery(verdict="correct")), SMALL.form, lambda _: b"\x89PNG picture")
    names = [f"images/{digit * 16}.png" for digit in "02"]
    archive = zipfile.ZipFile(io.BytesIO(b"".join(parts)))
    assert archive.testzip() is None and sorted(archive.namelist()) == [*names, "metadata.jsonl"]
    lines = [json.loads(line) for line in archive.read("metadata.jsonl").splitlines()]
    assert len(lines) == 150 and lines[0]["file_names"] == [names[0]]
    assert (lines[1]["file_names"], lines[2]["file_names"]) == ([names[1], names[0], names[1]], [])
    assert [turn["role"] for turn in lines[0]["prompt"]][-1] == "user"
    assert lines[0]["completion"] == [{"role": "assistant", "content": "step 0\n\n## Answer\n\n42"}]
    index.close()


def test_the_archive_for_trl_says_where_images_stand(tmp_path: Path) -> None:
    store, index = ArtefactStore(tmp_path), open_for_writing(tmp_path / "i.sqlite")
    rows = [rollout([True], name=f"q{place}") for place in range(2)]
    placed = {"images": ("2" * 64, "0" * 64), "text": "Is <image> as <image>?"}
    rows[1] = rows[1].model_copy(update={"question": rows[1].question.model_copy(update=placed)})
    rollouts = store.write_rows("r/rows", rows, {})
    fill(index, store, Shard("it01/generate/0000", 1, 0, rollouts, None, SelectionRecipe()), RewardRule())
    parts = trl_zip(rows_of(index, ResponseQuery()), SMALL.form, lambda _: b"\x89PNG picture")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(parts)))
    lines = [json.loads(line) for line in archive.read("metadata.jsonl").splitlines()]
    contents = [[part["type"] for part in line["prompt"][-1]["content"]] for line in lines]
    assert contents == [["image", "text"], ["text", "image", "text", "image", "text"]]
    assert {line["completion"][0]["content"][0]["type"] for line in lines} == {"text"}
    index.close()


def test_the_page_keeps_its_state_in_its_address(client: httpx2.Client, run_id: str) -> None:
    page = client.get(f"/runs/{run_id}/responses?limit=1&verdict=wrong&sort=hardest").text
    assert "limit=1&amp;sort=hardest" in page or "sort=hardest" in page
    (next_page,) = [part.split('"')[0] for part in page.split('<a href="?')[1:] if 'rel="next"' in part[:400]]
    again = client.get(f"/runs/{run_id}/responses?{next_page.replace('&amp;', '&')}")
    assert again.status_code == 200 and again.text.count('class="sample"') == 1
    assert EVIL not in page and "1 other responses" in page


def test_only_images_of_the_run_are_shown(client: httpx2.Client, run_id: str) -> None:
    for digest in ("0" * 64, "1" * 64, "..%2f..%2fx"):
        assert client.get(f"/runs/{run_id}/images/{digest}").status_code == 404


@pytest.mark.parametrize("whole", [True, False])
def test_a_damaged_index_is_made_anew(own: tuple[httpx2.Client, str], tmp_path: Path, whole: bool) -> None:
    client, run_id = own
    (path,) = (tmp_path / "runs" / ".mstar" / "responses").glob("*.sqlite")
    with path.open("r+b") as file:
        # What a power cut may leave: no database at all, or one whose first page alone is right.
        file.seek(0 if whole else 4096)
        file.write(b"\xff" * (path.stat().st_size - file.tell()))
    refused = client.get(f"/v1/runs/{run_id}/responses/export")
    assert refused.status_code == 503 and "is being made" in refused.json()["detail"]
    assert 'class="sample"' in indexed(client, f"/runs/{run_id}/responses")


def test_the_index_is_made_anew_when_it_is_gone(own: tuple[httpx2.Client, str], tmp_path: Path) -> None:
    client, run_id = own
    for path in (tmp_path / "runs" / ".mstar" / "responses").iterdir():
        path.unlink()
    assert 'class="sample"' in indexed(client, f"/runs/{run_id}/responses")
