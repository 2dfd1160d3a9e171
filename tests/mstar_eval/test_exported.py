"""What an export needs of a run: its prompt and origin, and scores for responses without any."""

import json
from pathlib import Path

import httpx2
import pytest

from mstar.errors import InvalidDataset, InvalidInput
from mstar.http_json import Target
from mstar_data.samples import ExportSample
from mstar_eval.exported import described, with_scores
from mstar_eval.services import ModelServices
from raw_server import RawServer, http


def sample(name: str, *, scores: tuple[float, ...] = ()) -> ExportSample:
    return ExportSample(
        where="w", id=name, question="q", prompt="asked", system="", images=(b"image",), answer={"answer": "3"},
        split="train", response="Step.\n\n## Answer\n\n3", step_scores=scores,
    )  # fmt: skip


def test_a_response_is_scored_step_by_step() -> None:
    def prm(request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        assert body["question"] == "asked"
        steps = [{"text": "Step.", "score": 0.9}, {"text": "3", "score": 0.4}]
        results = [{"index": 0, "score": 0.4, "steps": steps}]
        return httpx2.Response(200, json={"model_version": "p1", "results": results})

    with ModelServices(None, Target("http://prm"), httpx2.MockTransport(prm)) as services:
        assert services.step_scores("asked", [b"image"], "Step.") == ("p1", (0.9, 0.4))


def test_a_response_that_cannot_be_scored_says_so() -> None:
    def prm(request: httpx2.Request) -> httpx2.Response:
        error = {"code": "invalid-input", "detail": "responses.0 is too long", "field": "responses.0"}
        results = [{"index": 0, "score": 0, "steps": [], "error": error}]
        return httpx2.Response(200, json={"model_version": "p1", "results": results})

    with (
        ModelServices(None, Target("http://prm"), httpx2.MockTransport(prm)) as services,
        pytest.raises(InvalidInput, match="too long"),
    ):
        services.step_scores("asked", [b"image"], "Step.")


def test_what_is_scored_already_needs_no_prm() -> None:
    scored = [sample("a", scores=(0.5,)), sample("b", scores=(0.2,))]
    with with_scores(iter(scored), Path("nowhere")) as samples:
        assert list(samples) == scored
    with with_scores(iter([sample("c")]), Path("nowhere")) as samples, pytest.raises(InvalidInput, match="neither an"):
        list(samples)


@pytest.mark.parametrize("separator", [None, "\n"])
def test_the_prm_is_told_what_separates_the_steps_of_a_run(separator: str | None) -> None:
    results = [{"index": 0, "score": 0.4, "steps": [{"text": "Step.", "score": 0.4}]}]
    reply = json.dumps({"model_version": "p1", "results": results}).encode()
    with RawServer(http(200, reply)) as prm, with_scores(iter([sample("a")]), prm.url, separator) as samples:
        assert [one.step_scores for one in samples] == [(0.4,)]
    (asked,) = prm.requests
    assert json.loads(asked.partition(b"\r\n\r\n")[2]).get("step_separator") == separator


def test_a_folder_is_described_by_its_import_and_a_missing_one_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "import.json").write_text('{"source": "MathV360K", "licence": "cc-by-4.0"}')
    found, form, origin, prm = described(str(folder), "cot", tmp_path / "runs")
    assert (found, origin.source, origin.licence, prm) == (folder, "MathV360K", "cc-by-4.0", None)
    assert form.preset.value == origin.prompt
    assert described(str(folder), "cot", tmp_path / "runs", "mit")[2].licence == "mit"
    assert origin.step_separator is None, "the PRM's own counts"
    with pytest.raises(InvalidDataset, match="does not exist"):
        described(str(tmp_path / "none"), "cot", tmp_path / "runs")
