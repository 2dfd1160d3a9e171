"""The PRM service as a process behind a real socket: it serves a plain folder, and ends when it is told to."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mstar.api.images import ImageInput
from mstar.api.prm import Candidate, ScoreRequest
from mstar.client import Client, Endpoint
from mstar.errors import Unauthenticated, WeightVersionMismatch
from mstar.steps import ArtefactRef
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import ArtefactStore
from policy_bench import png
from prm_service import environment, service
from warm_starts import COLD_PYTHON


def request(image: ImageInput, *responses: str, version: str | None = None) -> ScoreRequest:
    candidates = tuple(Candidate(text=text) for text in responses)
    return ScoreRequest(question="How many bars?", images=(image,), responses=candidates, model_version=version)


def test_a_client_scores_over_a_socket(store: ArtefactStore, prm: ArtefactRef) -> None:
    digest = ImageStore(store.root / ".mstar" / "images").put(png())
    image = ImageInput(sha256=digest)
    keys = {"MSTAR_PRM_SCORE_KEY": "s", "MSTAR_PRM_INTERNAL_KEY": "i", "MSTAR_PRM_WEIGHTS_ADMIN_KEY": "w"}
    with service(store.path(prm.id) / "model", MSTAR_PRM_HOME=str(store.root), **keys) as url:
        with Client(Endpoint(prm_url=url, score_key="s")) as client:
            reply = client.score(request(image, "A is 3\n\n## Answer\n\n3", "It looks like 4"))
            assert reply.model_version.startswith("model@")
            assert [len(one.steps) for one in reply.results] == [2, 1]
            assert client.score(request(image, "A is 3", version=reply.model_version)).results
            with pytest.raises(WeightVersionMismatch, match="is loaded, not old@1"):
                client.score(request(image, "A is 3", version="old@1"))
            good, too_long = client.score(request(image, "A is 3", "s\n\n" * 600)).results
            assert good.error is None
            assert too_long.error is not None
        with Client(Endpoint(prm_url=url)) as stranger, pytest.raises(Unauthenticated):
            stranger.score(request(image, "A is 3"))


def test_the_command_line_scores_a_file(store: ArtefactStore, prm: ArtefactRef, tmp_path: Path) -> None:
    (tmp_path / "bars.png").write_bytes(png())
    row = {
        "images": ["bars.png"],
        "question": "How many?",
        "responses": ["A is 3\n\n## Answer\n\n3"],
        "own": "a\u2028b",
    }
    far_too_long = row | {"responses": ["s\n\n" * 600]}
    lines = [json.dumps(one, ensure_ascii=False) for one in (row, row, far_too_long)]
    (tmp_path / "rows.jsonl").write_text("\n\n".join(lines) + "\n")
    code = ("-c", "from mstar.cli import main; main()", "score", "rows.jsonl")
    with service(store.path(prm.id) / "model", MSTAR_PRM_HOME=str(store.root)) as url:
        env = environment(MSTAR_PRM_URL=url)
        printed = subprocess.run([sys.executable, *code], cwd=tmp_path, env=env, capture_output=True, text=True)
        command = [sys.executable, *code, "--out", "scored.jsonl"]
        written = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    for done in (printed, written):
        assert done.returncode == 1
        assert done.stderr.startswith("error: file: rows.jsonl line 5: response 0: it has 600 steps")
    kept = (tmp_path / "scored.jsonl").read_text()
    scored = [json.loads(line) for line in kept.rstrip("\n").split("\n")]
    shown = [json.loads(line) for line in printed.stdout.rstrip("\n").split("\n")]
    assert written.stdout == ""
    assert len(scored) == len(shown) == 2
    # A prompt that is remembered goes through other matrix shapes, so the last bits of a score may differ.
    least = scored[0]["results"][0]["score"]
    assert [one["results"][0]["score"] for one in (*scored, *shown)] == pytest.approx([least] * 4, abs=1e-5)
    assert {**scored[0], **row} == scored[0]
    assert [len(one["steps"]) for one in scored[0]["results"]] == [2]


def test_a_bad_setting_is_told_before_anything_is_loaded(tmp_path: Path) -> None:
    env = environment(MSTAR_PRM_THREADS="none", MSTAR_PRM_HOME=str(tmp_path))
    done = subprocess.run([COLD_PYTHON, "-m", "mstar_prm"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("MSTAR_PRM_THREADS: ") and len(done.stderr.splitlines()) == 1
