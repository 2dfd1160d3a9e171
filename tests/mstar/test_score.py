"""`mstar score` against a server that notes what it is asked."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mstar.cli.main import app
from publish_bench import finished_run

ROW = {"images": ["a.png"], "question": "Which?", "choices": ["red", "blue"], "responses": ["Blue.\n\n## Answer\n\nB"]}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The bodies that a PRM is sent; it gives every response one step with 0.5."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            results = [{"index": 0, "score": 0.5, "steps": [{"text": "Blue.", "score": 0.5}]}]
            reply = json.dumps({"model_version": "p1", "results": results}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("MSTAR_PRM_URL", f"http://127.0.0.1:{server.server_address[1]}")
    yield bodies
    server.shutdown()
    thread.join()
    server.server_close()


def scored(folder: Path, *options: str) -> None:
    (folder / "a.png").write_bytes(b"picture")
    (folder / "rows.jsonl").write_text(json.dumps(ROW) + "\n")
    done = CliRunner().invoke(app, ["score", str(folder / "rows.jsonl"), "--home", str(folder), *options])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["results"][0]["score"] == 0.5


def test_a_question_goes_as_it_stands_unless_a_prompt_is_named(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    scored(tmp_path)
    scored(tmp_path, "--prompt", "boxed")
    assert asked[0]["question"] == "Which?"
    assert asked[1]["question"].startswith("Which?\n\n(A) red\n(B) blue\n\nReason step by step.")
    assert "\\boxed{}" in asked[1]["question"]


def test_a_run_gives_its_own_prompt(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    run = finished_run()
    prompt = run.recipe.prompt.model_copy(update={"system": "Be exact.", "instruction": "Name the letter."})
    changed = run.model_copy(update={"recipe": run.recipe.model_copy(update={"prompt": prompt})})
    (tmp_path / "r-1").mkdir()
    (tmp_path / "r-1" / "results.json").write_text(changed.model_dump_json())
    scored(tmp_path, "--prompt", "r-1")
    assert (asked[0]["system"], asked[0]["question"]) == ("Be exact.", "Which?\n\nName the letter.")
