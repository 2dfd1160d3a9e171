"""Clients that openapi-python-client makes from the three OpenAPI documents, used against the real services."""

import base64
import importlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest

from policy_bench import png
from real_services import coordinator, policy, prm

GENERATOR = Path(sys.prefix) / "linters" / "bin" / "openapi-python-client"
IMAGE = {"data": base64.b64encode(png()).decode()}


class Generated:
    """A generated package, found by its parts, and its client for the service's address."""

    def __init__(self, url: str, package: ModuleType) -> None:
        self.package = package.__name__
        self.client = package.Client(base_url=url, raise_on_unexpected_status=True)

    def close(self) -> None:
        self.client.get_httpx_client().close()

    def call(self, place: str, *arguments: object, body: object = None) -> Any:
        """Call an operation by `tag.name`, as in `runs.start_run`."""
        bodies = {} if body is None else {"body": body}
        operation = importlib.import_module(f"{self.package}.api.{place}")
        return operation.sync(*arguments, client=self.client, **bodies)

    def body(self, name: str, **fields: object) -> Any:
        """A body by the name of its model, read from what would go over the wire."""
        return getattr(importlib.import_module(f"{self.package}.models"), name).from_dict(fields)


@contextmanager
def generated(url: str, folder: Path, name: str) -> Iterator[Generated]:
    (folder / "openapi.json").write_bytes(httpx2.get(f"{url}/openapi.json").content)
    made = subprocess.run(
        [GENERATOR, "generate", "--path", "openapi.json", "--meta", "none", "--output-path", name, "--fail-on-warning"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": str(Path(sys.executable).parent)},
        timeout=120,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    api = Generated(url, importlib.import_module(name))
    yield api
    api.close()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from, for as long as the test lasts."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.system
def test_runs_are_started_read_and_steered(here: Path) -> None:
    with coordinator(here) as url, generated(url, here, "made_for_runs") as api:
        run = api.call("runs.start_run", body=api.body("RunCreate", recipe="demo", overrides={"seed": 3}))
        assert (run.recipe.name, run.recipe.seed) == ("demo", 3)
        assert [found.id for found in api.call("runs.list_runs").data] == [run.id]
        assert api.call("runs.cancel_run", run.id, body=api.body("CancelRunBody")).state == "cancelled"
        assert api.call("outputs.get_results", run.id).id == run.id
        assert api.call("runs.get_run", "r-nobody").code == "not-found"


@pytest.mark.system
def test_a_picture_is_asked_about(here: Path) -> None:
    url_of_image = f"data:image/png;base64,{IMAGE['data']}"
    with policy(here) as url, generated(url, here, "made_for_chat") as api:
        parts = [{"type": "text", "text": "How many?"}, {"type": "image_url", "image_url": {"url": url_of_image}}]
        turn = {"role": "user", "content": parts}
        asked = api.body("ChatRequest", model="mstar-policy", messages=[turn], max_tokens=4, seed=1)
        assert api.call("openai.complete_chat", body=asked).choices[0].message.content
        prompts = [{"question": "How many?", "images": [IMAGE], "n": 2}]
        rollouts = api.call("rollouts.sample_rollouts", body=api.body("RolloutRequest", prompts=prompts, max_tokens=4))
        assert [len(samples) for samples in rollouts.samples] == [2]


@pytest.mark.system
def test_responses_are_scored(here: Path) -> None:
    with prm(here) as url, generated(url, here, "made_for_scores") as api:
        asked = api.body(
            "ScoreRequest", question="How many?", images=(IMAGE,), responses=[{"text": "Two.\n\n## Answer\n\n2"}]
        )
        (scored,) = api.call("scoring.score_at_v1_score", body=asked).results
        assert len(scored.steps) == 2
