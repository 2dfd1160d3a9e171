"""`mstar score` against a server that notes what it is asked."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from click.testing import Result
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner

from handler_server import HandlerServer, QuietHandler
from mstar.api.prm import ItemError, ScoredResponse
from mstar.cli.main import app
from mstar.cli.score_files import best
from mstar.errors import InvalidInput, MstarError
from publish_bench import finished_run

ROW = {"images": ["a.png"], "question": "Which?", "choices": ["red", "blue"], "responses": ["Blue.\n\n## Answer\n\nB"]}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The bodies that a PRM is sent; it gives every response one step with 0.5."""
    bodies: list[dict[str, Any]] = []

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.body()))
            results = [{"index": 0, "score": 0.5, "steps": [{"text": "Blue.", "score": 0.5}]}]
            self.reply(200, json.dumps({"model_version": "p1", "results": results}).encode())

    with HandlerServer(Handler) as server:
        monkeypatch.setenv("MSTAR_PRM_URL", server.url)
        yield bodies


def scored_to(folder: Path, rows: list[dict[str, Any]], *options: str) -> Result:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return CliRunner().invoke(app, ["score", str(folder / "rows.jsonl"), "--out", str(folder / "out.jsonl"), *options])


def written(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def words(*questions: str) -> list[dict[str, Any]]:
    return [{"question": one, "responses": ["It is 5."]} for one in questions]


def test_scoring_goes_on_where_it_was_killed(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    assert scored_to(tmp_path, words("a", "b", "b", "c")).exit_code == 0
    first = (tmp_path / "out.jsonl").read_text()
    lines = first.splitlines(keepends=True)
    # Killed in the third line.
    (tmp_path / "out.jsonl").write_text("".join(lines[:2]) + lines[2][:20])
    done = scored_to(tmp_path, words("a", "b", "b", "c"))
    assert done.exit_code == 0, done.output
    assert [body["question"] for body in asked] == ["a", "b", "b", "c", "b", "c"]
    assert (tmp_path / "out.jsonl").read_text() == first
    assert scored_to(tmp_path, words("a", "b", "b", "c")).exit_code == 0 and len(asked) == 6


def test_members_that_are_not_read_come_out_as_they_were(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")
    kept = {"note": "half a pair \ud800, 三角形", "name": "Zoë"}
    (tmp_path / "rows.jsonl").write_text("\ufeff" + json.dumps(ROW | kept) + "\n", encoding="utf-8")
    command = ["score", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "out.jsonl")]
    for _ in range(2):
        assert CliRunner().invoke(app, command).exit_code == 0
    row = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    assert {name: row[name] for name in kept} == kept
    assert len(asked) == 1, "the second command finds the line done"


def test_what_was_changed_is_scored_anew(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    scored_to(tmp_path, words("a", "b"))
    assert scored_to(tmp_path, words("a", "c")).exit_code == 0
    assert [row["question"] for row in written(tmp_path)] == ["a", "c"]
    assert scored_to(tmp_path, words("a", "c"), "--fresh").exit_code == 0
    assert scored_to(tmp_path, words("a", "c"), "--keep-top", "1").exit_code == 0
    assert [body["question"] for body in asked] == ["a", "b", "c", "a", "c", "a", "c"]
    assert len(written(tmp_path)) == 2


def test_scores_of_before_stay_until_there_are_others(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    assert scored_to(tmp_path, words("a"), "--fresh").exit_code == 0
    before = written(tmp_path)
    bad = [{"question": "q"}]
    assert scored_to(tmp_path, bad, "--fresh").exit_code == 1
    assert written(tmp_path) == before, "the input was none"
    assert scored_to(tmp_path, words("b"), "--fresh").exit_code == 0
    assert [row["question"] for row in written(tmp_path)] == ["b"]
    (tmp_path / "out.jsonl").unlink()
    assert scored_to(tmp_path, bad).exit_code == 1
    assert not (tmp_path / "out.jsonl").exists(), "nothing came of it"


def test_scores_of_other_weights_are_not_mixed_in(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    scored_to(tmp_path, words("a"))
    out = tmp_path / "out.jsonl"
    out.write_text(out.read_text().replace('"p1"', '"p0"'))
    refused = scored_to(tmp_path, words("a", "b"))
    assert isinstance(refused.exception, InvalidInput), refused.output
    assert "scores of p0, and the PRM serves p1 now" in refused.exception.detail
    assert len(written(tmp_path)) == 1


def test_low_scores_leave_their_line_without_responses(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    assert scored_to(tmp_path, words("a"), "--min-score", "0.6").exit_code == 0
    assert [(row["responses"], row["results"]) for row in written(tmp_path)] == [([], [])]
    assert scored_to(tmp_path, words("a"), "--min-score", "0.5", "--keep-top", "2").exit_code == 0
    assert [row["responses"] for row in written(tmp_path)] == [["It is 5."]]


def test_the_best_are_kept_in_order() -> None:
    def result(index: int, score: float, error: ItemError | None = None) -> ScoredResponse:
        return ScoredResponse(index=index, score=score, steps=(), error=error)

    results = [result(0, 0.2), result(1, 0.9), result(2, 0.0, ItemError(detail="no", field="text")), result(3, 0.4)]
    assert best(results, None, None) is None
    for top, low, kept in ((2, None, [1, 3]), (None, 0.3, [1, 3]), (1, 0.3, [1]), (9, None, [1, 3, 0])):
        found = best(results, top, low)
        assert found is not None and [one.index for one in found] == kept


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


def test_a_line_nested_too_deeply_is_named(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    (tmp_path / "in.jsonl").write_text(
        '{"question": "q", "responses": ["r"], "z": ' + "[" * 100_000 + "]" * 100_000 + "}\n"
    )
    result = CliRunner().invoke(app, ["score", str(tmp_path / "in.jsonl")])
    assert isinstance(result.exception, InvalidInput) and "line 1: nested too deeply" in result.exception.detail


@pytest.mark.parametrize("content", [b"", b"\n \n\r\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("command", ["score", "judge"])
def test_a_file_without_lines_is_refused_and_earlier_scores_stay(tmp_path: Path, command: str, content: bytes) -> None:
    (tmp_path / "in.jsonl").write_bytes(content)
    (tmp_path / "out.jsonl").write_text("scores of another file\n")
    options = ["--out", str(tmp_path / "out.jsonl")] if command == "score" else []
    result = CliRunner().invoke(app, [command, str(tmp_path / "in.jsonl"), *options])
    assert result.exit_code == 1 and result.stdout == ""
    assert isinstance(result.exception, InvalidInput) and "in.jsonl has no lines" in str(result.exception)
    assert (tmp_path / "out.jsonl").read_text() == "scores of another file\n"


def test_the_file_that_is_read_is_not_written_to(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(words("a")[0]) + "\n")
    (tmp_path / "link.jsonl").symlink_to(rows)
    for name in ("rows.jsonl", "link.jsonl"):
        done = CliRunner().invoke(app, ["score", str(rows), "--out", str(tmp_path / name)])
        assert isinstance(done.exception, InvalidInput) and "is the file that is read" in done.exception.detail
    assert (asked, json.loads(rows.read_text())) == ([], words("a")[0])


def png(shade: int) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(made, "PNG")
    return made.getvalue()


def test_a_data_set_of_any_form_is_scored_and_exported_without_its_source(
    tmp_path: Path, asked: list[dict[str, Any]]
) -> None:
    source, out = tmp_path / "set.parquet", tmp_path / "out.jsonl"
    columns = {
        "question": ["How many?", "How many now?"],
        "image": [{"bytes": png(10), "path": None}, {"bytes": png(20), "path": None}],
        "answer": ["3", "4"],
        "responses": [["It is 3."], ["It is 4."]],
    }
    parquet.write_table(pyarrow.table(columns), source)
    command = ["score", str(source), "--out", str(out)]
    for _ in range(2):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
    assert [(body["question"], len(body["images"])) for body in asked] == [("How many?", 1), ("How many now?", 1)]
    source.unlink()
    assert CliRunner().invoke(app, ["score", str(out), "--out", str(tmp_path / "again.jsonl")]).exit_code == 0
    done = CliRunner().invoke(
        app, ["data", "export", str(out), "--as", str(tmp_path / "trl"), "--layout", "trl", "--prm", "none"]
    )
    assert done.exit_code == 0, done.output
    (shard,) = (tmp_path / "trl" / "data").iterdir()
    rows = parquet.read_table(shard).to_pylist()
    assert [(row["response"], row["step_scores"], row["prm_version"]) for row in rows] == [
        ("It is 3.", [0.5], "p1"), ("It is 4.", [0.5], "p1"),
    ]  # fmt: skip
    assert [row["images"][0]["bytes"] for row in rows] == [png(10), png(20)]


def test_what_an_assistant_said_is_scored(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    said = "It shows three bars."
    turns = [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": said}]
    assert scored_to(tmp_path, [{"messages": turns}]).exit_code == 0
    assert [(body["question"], body["responses"][0]["text"]) for body in asked] == [("How many?", said)]
    assert written(tmp_path)[0]["results"][0]["score"] == 0.5


@pytest.mark.parametrize(
    ("name", "text", "options", "said"),
    [
        ("rows.csv", "question,answer\nHow many?,3", ["--out", "out.jsonl"],
         "rows.csv line 2: there is no response to score: give `responses`, a list of texts, or `response`"),
        ("rows.jsonl", '{"messages": []}', [],
         "rows.jsonl is no file of JSON lines with question and responses: name a file with --out"),
    ],
    ids=["no response", "no --out"],
)  # fmt: skip
def test_a_data_set_that_cannot_be_scored_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, options: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text + "\n")
    refused = CliRunner().invoke(app, ["score", name, *options])
    assert isinstance(refused.exception, MstarError), refused.output
    assert said in refused.exception.detail
    assert not Path("out.jsonl").exists()
