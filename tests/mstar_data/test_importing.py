"""Data sets in the shapes in which they are published, through the command that users have."""

import base64
import fcntl
import json
import os
import shutil
from pathlib import Path, PosixPath
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from mstar.cli.main import app
from mstar.errors import Conflict, InvalidDataset
from mstar_data.importing import Unfinished, import_source
from mstar_data.rows import ReadOptions, read_rows
from mstar_data.summary import Summary
from trusting_looks import TrustingLooks

CASES = Path(__file__).parents[1] / "cases" / "formats"
PNG = (CASES / "imagefolder" / "train" / "0.png").read_bytes()


def imported(source: Path, target: Path, **options: Any) -> dict[str, list[dict[str, Any]]]:
    """The rows of each split after an import."""
    import_source(source, target, ReadOptions(**options))
    return {
        folder.name: [json.loads(line) for line in (folder / "metadata.jsonl").read_text().split("\n") if line]
        for folder in target.iterdir()
        if folder.is_dir()
    }


@pytest.mark.parametrize(
    ("shape", "split", "count", "first"),
    [
        (
            "mathv360k",
            "train",
            4,
            {
                "question": "Is the sum of two bars higher?",
                "choices": ["Yes", "No"],
                "answer": "A",
                "answer_type": "choice",
                "group": "TabMWP",
            },
        ),
        ("imagefolder", "train", 4, {"question": "How many?", "answer": "3", "answer_type": "integer"}),
        ("openai", "train", 4, {"question": "How many?", "answer": "3", "answer_type": "integer"}),
        ("m3cot", "train", 4, {"choices": ["Ice", "Fire"], "answer": "B", "group": "commonsense"}),
        ("mathvista", "validation", 4, {"answer": "1.2", "answer_type": "float", "precision": 1, "group": "GPS"}),
        ("mathvista/testmini.json", "validation", 4, {"answer": "1.2", "unit": "cm", "group": "GPS"}),
    ],
)
def test_a_published_shape_is_read_whole(
    tmp_path: Path, shape: str, split: str, count: int, first: dict[str, Any]
) -> None:
    rows = imported(CASES / shape, tmp_path / "set")[split]
    assert len(rows) == count
    assert first == {name: rows[0].get(name) for name in first}
    for row in rows:
        assert (tmp_path / "set" / split / row["file_name"]).is_file()


def test_mmbench_and_scienceqa_columns_are_read(tmp_path: Path) -> None:
    image = base64.b64encode(PNG).decode()
    (tmp_path / "dev.tsv").write_text(
        f"index\tquestion\thint\tA\tB\tC\tanswer\tcategory\timage\n7\tWhich?\tLook.\tcat\tdog\t\tB\tlogic\t{image}\n"
    )
    (row,) = imported(tmp_path / "dev.tsv", tmp_path / "set")["validation"]
    assert (row["question"], row["choices"], row["answer"], row["id"]) == ("Look.\nWhich?", ["cat", "dog"], "B", "7")
    science = {"question": "Which?", "choices": ["cat", "dog"], "answer": 1, "image": f"data:image/png;base64,{image}"}
    (tmp_path / "science.jsonl").write_text(json.dumps(science))
    assert imported(tmp_path / "science.jsonl", tmp_path / "two")["train"][0]["answer"] == "B"
    assert imported(tmp_path / "science.jsonl", tmp_path / "three", first_index=1)["train"][0]["answer"] == "A"


def test_a_line_separator_is_no_line_end_and_zero_is_an_answer(tmp_path: Path) -> None:
    record = {"file_name": "0.png", "question": "a\u2028b", "answer": 0}
    (tmp_path / "0.png").write_bytes(PNG)
    text = "\ufeff" + json.dumps(record, ensure_ascii=False) + "\n"
    (tmp_path / "metadata.jsonl").write_text(text, encoding="utf-8")
    assert imported(tmp_path, tmp_path.with_name("set"))["train"][0]["answer"] == "0"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: not valid JSON"),
        ('["a"]', "line 2: a record must be an object"),
        ('{"image": "", "question": "q", "answer": 1}', "line 2: the image is missing"),
        ('{"file_name": "0.png", "answer": 1}', "line 2: question is missing"),
        ('{"file_name": "0.png", "question": "q"}', "line 2: the answer is missing"),
        ('{"file_name": "9.png", "question": "q", "answer": 1}', "line 2: image 9.png is not there"),
        ('{"file_name": "../x", "question": "q", "answer": 1}', "line 2: image ../x lies outside"),
        ('{"file_name": "text.png", "question": "q", "answer": 1}', "line 2: the image is not a PNG, JPEG or WebP"),
        ('{"image": "http://a/b.png", "question": "q", "answer": 1}', "addresses are never fetched"),
        ('{"file_name": "0.png", "question": "q", "answer": "E", "choices": ["a", "b"]}', "none of the 2 options"),
        ('{"messages": [{"role": "user", "content": "q"}]}', "messages must hold a user turn"),
        ('{"messages": ["q", "1"]}', "messages must hold objects with a role and a text"),
        ('{"conversations": 3}', "conversations must hold"),
        (
            '{"conversations": [{"from": "gpt", "value": "1"}, {"from": "human", "value": "q"}]}',
            "a user turn, then",
        ),
        ('{"question": "<image>q", "answer": 1}', "mark <image>, and no picture is there"),
        (
            '{"imageId": "7", "question": "q", "answer": 1}',
            "column 'imageId' names a picture, and none is read",
        ),
        ('{"chart": "charts/0.png", "question": "q", "answer": 1}', "column 'chart' names a picture"),
        ('{"file_name": "0.png", "question": "q", "answer": "nan"}', "which tables write for an empty cell"),
        ('{"file_name": "0.png", "question": "q", "answer": 1, "split": "x"}', "split 'x' is unknown"),
        ('{"file_name": "0.png", "question": "q", "answer": 1, "unit": 5}', "line 2: unit 5 is not a unit"),
        ('{"file_name": "0.png", "question": "q", "answer": 1, "unit": "5.0"}', "line 2: unit '5.0' is not a unit"),
        ('{"file_name": "0.png", "question": "q", "answer": 1, "unit": false}', "line 2: unit False is not a unit"),
        ('{"file_name": "0.png", "question": "q", "answer": 1, "unit": ["cm"]}', "line 2: unit ['cm'] is not a unit"),
    ],
)
def test_a_bad_record_is_named_and_nothing_is_imported(tmp_path: Path, line: str, said: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "0.png").write_bytes(PNG)
    (source / "text.png").write_text("no picture")
    good = json.dumps({"file_name": "0.png", "question": "q", "answer": 1})
    (source / "metadata.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(InvalidDataset) as refused:
        import_source(source, tmp_path / "set")
    assert said in refused.value.detail
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
    summary = import_source(source, tmp_path / "set", skip_bad=True)
    assert (summary.records["train"], summary.bad) == (1, 1)


def test_links_that_lead_outside_are_not_read(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "secret.png").write_bytes(PNG)
    (source / "0.png").symlink_to(tmp_path / "secret.png")
    (source / "metadata.jsonl").write_text(json.dumps({"file_name": "0.png", "question": "q", "answer": 1}))
    with pytest.raises(InvalidDataset, match="lies outside"):
        import_source(source, tmp_path / "set")


def test_repeated_records_are_left_out_and_an_import_never_replaces(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(PNG)
    line = json.dumps({"file_name": "0.png", "question": "q", "answer": 1})
    (tmp_path / "train.jsonl").write_text(f"{line}\n{line}\n")
    target = tmp_path.with_name("target")
    assert import_source(tmp_path, target).repeated == 1
    with pytest.raises(Conflict, match="exists already"):
        import_source(tmp_path, target)


def test_a_record_in_two_splits_is_counted(tmp_path: Path) -> None:
    assert import_source(CASES / "imagefolder", tmp_path / "set").shared == 4


def test_shares_split_by_content_whatever_the_order(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(PNG)
    lines = [json.dumps({"image": "0.png", "question": f"q{place}", "answer": 1}) for place in range(400)]
    shares = {"train": 0.5, "validation": 0.25, "test_id": 0.25}
    drawn = []
    for order in (lines, lines[::-1]):
        (tmp_path / "all.jsonl").write_text("\n".join(order))
        rows = read_rows(tmp_path / "all.jsonl", Summary(), ReadOptions(shares=shares))
        drawn.append({row.columns["question"]: row.split for row in rows})
    assert drawn[0] == drawn[1]
    assert 170 < list(drawn[0].values()).count("train") < 230


def test_what_is_left_out_or_odd_is_counted(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "1"}]
    more = [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "So."}]
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "p"}, {"role": "assistant", "content": "2"}]
    rows = [
        {"conversations": turns},
        {"conversations": [{**turns[0], "value": "r"}, turns[1], *more]},
        {"messages": [*chat, *({"role": role, "content": "x"} for role in ("user", "assistant"))]},
        {"messages": [*chat[:1], {"role": "user", "content": "o"}, chat[2]]},
        {"question": "s", "answer": "A", "choices": ["red", "blue", " blue"], "unit": float("nan")},
        {"question": "t", "answer": "A", "choices": ["Aa", "aa", "AA"], "unit": "%"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = import_source(tmp_path / "a.jsonl", tmp_path / "set")
    counted = (summary.records["train"], summary.bad, summary.later_turns, summary.same_options)
    assert counted == (6, 0, 2, 1)
    written = json.loads((tmp_path / "set" / "import.json").read_text())
    assert (written["later_turns"], written["same_options"]) == (2, 1)
    shown = CliRunner().invoke(app, ["data", "inspect", str(tmp_path / "a.jsonl"), "--records", "1"]).output
    assert "2 conversations have further turns" in shown and "1 records have an option twice in choices" in shown


def test_the_commands_show_and_import(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["data", "inspect", str(CASES / "mathv360k"), "--records", "1"])
    assert shown.exit_code == 0, shown.output
    assert "(A) Yes  (B) No" in shown.output
    assert "train 4" in shown.output
    done = CliRunner().invoke(app, ["data", "import", str(CASES / "m3cot"), "--as", str(tmp_path / "set")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "set" / "train" / "metadata.jsonl").is_file()


@pytest.mark.parametrize("inside", [False, True], ids=["beside the source", "inside the source"])
def test_one_that_is_stopped_reads_again_what_was_bad(tmp_path: Path, inside: bool) -> None:
    source = tmp_path / "source"
    source.mkdir()
    target = (source if inside else tmp_path) / "set"
    rows = [{"question": f"q{n}", "answer": n, **({"image": "0.png"} if n == 3 else {})} for n in range(2010)]
    (source / "all.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (source / "0.png").write_bytes(b"GIF89a" + PNG)
    seen: list[int] = []

    def stop(records: int) -> None:
        seen.append(records)
        if records == 2005:
            raise Unfinished

    for skip_bad in (False, True):
        with pytest.raises(Unfinished):
            import_source(source, target, skip_bad=skip_bad, tick=stop, looks=TrustingLooks())
    seen.clear()
    import_source(source, target, skip_bad=True, tick=seen.append, looks=TrustingLooks())
    assert seen[0] == 2002
    shutil.rmtree(target)
    with pytest.raises(Unfinished):
        import_source(source, target, tick=stop, looks=TrustingLooks())
    (source / "0.png").write_bytes(PNG)
    assert import_source(source, target, looks=TrustingLooks()).records == {"train": 2010}


class Watched(PosixPath):
    """A target that tries, whenever it is used, to take the lock of the import that is about to be done."""

    tried: ClassVar[list[bool]] = []

    def __fspath__(self) -> str:
        work = os.path.join(os.path.dirname(str(self)), ".set.importing")
        if os.path.exists(os.path.join(work, "import.json")):
            with open(os.path.join(work, ".lock"), "a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self.tried.append(True)
                except BlockingIOError:
                    self.tried.append(False)
        return str(self)


def test_no_other_import_gets_the_folder_before_it_has_its_name(tmp_path: Path) -> None:
    import_source(CASES / "mathv360k", Watched(tmp_path / "set"), looks=TrustingLooks())
    assert Watched.tried and not any(Watched.tried)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]
    assert not (tmp_path / "set" / ".lock").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", b""), ("a.jsonl", b"\n\n"), ("a.json", b"[]"), ("a.csv", b""), ("a.csv", b"question,answer\n")],
)
@pytest.mark.parametrize("command", ["inspect", "import"])
def test_a_source_without_records_is_an_error(tmp_path: Path, command: str, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    options = ["--as", str(tmp_path / "out")] if command == "import" else []
    result = CliRunner().invoke(app, ["data", command, str(tmp_path / name), *options])
    assert isinstance(result.exception, InvalidDataset) and result.exit_code == 1
    assert f"{name} has no record that can be used: name the file or folder" in str(result.exception)
    assert not (tmp_path / "out").exists()
