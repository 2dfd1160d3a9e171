"""The command line as a process: pure JSON where it was asked for, one clear line and exit code 1 for what is wrong."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mstar.recipes import MeasuredSet, MeasureRecipe
from publish_bench import finished_run
from silent_server import SilentServer
from warm_starts import COLD_PYTHON

SHARED = Path(__file__).parents[2] / "shared"
NOWHERE = {"MSTAR_URL": "http://127.0.0.1:9", "MSTAR_PRM_URL": "http://127.0.0.1:9"}


def mstar(*arguments: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MSTAR_")}
    env = kept | {"PYTHONPATH": f"{SHARED}:{SHARED.parent / 'services'}", "NO_COLOR": "1"} | environment
    command = [sys.executable, "-c", "from mstar.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "start", "missing.yaml"), "recipe file missing.yaml does not exist"),
        (("run", "start", "bad.yaml"), "evolution.interations"),
        (("run", "start", "list.yaml"), "recipe"),
        (("run", "start", "demo", "--set", "evolution.iterations"), "write it as key=value"),
        (("run", "start", "latin.yaml"), "latin.yaml cannot be read"),
        (("run", "start", "demo", "--set", "evolution.iterations=["), "--set evolution.iterations=["),
        (("run", "start", "demo"), "nothing answers at http://127.0.0.1:9"),
        (("run", "list"), "nothing answers at http://127.0.0.1:9"),
        (("run", "show", "r-none"), "does not exist"),
        (("run", "show", "r-torn"), "holds no results"),
        (("run", "pause", "r-none"), "nothing answers"),
        (("report", "r-none"), "does not exist"),
        (("score", "missing.jsonl"), "missing.jsonl does not exist"),
        (("score", "broken.jsonl"), "broken.jsonl line 2"),
        (("score", "far.jsonl"), "far.jsonl line 1"),
        (("score", "latin.jsonl"), "latin.jsonl cannot be read"),
        (
            ("score", "list.jsonl"),
            'list.jsonl line 1: no JSON object; each line must be one, such as {"images": ["a.png"]',
        ),
        (("judge", "list.jsonl"), 'list.jsonl line 1: no JSON object; each line must be one, such as {"record"'),
        (("judge", "good.jsonl"), "good.jsonl line 1: record: is missing; a line is such as {"),
        (("judge", "."), ". is a folder: name a file"),
        (("score", "disk.jsonl"), "disk.jsonl line 1: longer than 33554432 characters: is it JSON lines?"),
        (("judge", "/dev/null"), "/dev/null is a pipe or a device: write its lines to a file"),
        (("score", "keyless.jsonl"), "keyless.jsonl line 1: responses: is missing; a line is such as {"),
        (("score", "one-text.jsonl"), "one-text.jsonl line 1: responses: "),
        (("score", "empty.jsonl"), "empty.jsonl line 1: question: "),
        (("score", "good.jsonl"), "set MSTAR_PRM_URL"),
        (("score", "good.jsonl", "--out", "none/out.jsonl"), "none/out.jsonl cannot be written"),
        (("study", "report", "paper", "--results", "none"), "none has no result file of study paper"),
        (("up", "--ports", "some"), "choose auto or fixed"),
        (("report", "r" * 300), "File name too long"),
        (("run", "show", "list.yaml", "--home", "loop"), "loop"),
        # Nobody may make a folder there, root included.
        (("data", "import", "asked.jsonl", "--as", "/sys/mstar"), " /sys"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "bad.yaml").write_text("name: x\nevolution: {interations: 3}\n")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "broken.jsonl").write_text("\n{not json\n")
    for name in ("latin.yaml", "latin.jsonl"):
        (tmp_path / name).write_bytes(b"name: \xff\n")
    (tmp_path / "list.jsonl").write_text("[1]\n")
    with (tmp_path / "disk.jsonl").open("wb") as disk:
        disk.truncate(2**40)
    (tmp_path / "here.png").write_bytes(b"picture")
    rows: dict[str, dict[str, object]] = {
        "far": {"images": ["none.png"], "question": "q", "responses": ["a"]},
        "keyless": {"images": ["here.png"], "question": "q"},
        "one-text": {"images": ["here.png"], "question": "q", "responses": "abc"},
        "empty": {"images": ["here.png"], "question": "", "responses": ["a"]},
        "good": {"images": ["here.png"], "question": "q", "responses": ["a"]},
    }
    (tmp_path / "asked.jsonl").write_text(json.dumps({"question": "q", "answer": "7"}) + "\n")
    for name, row in rows.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "runs" / "r-torn").mkdir(parents=True)
    (tmp_path / "runs" / "r-torn" / "results.json").write_text("{")
    done = mstar(*arguments, cwd=tmp_path, **NOWHERE)
    assert done.returncode == 1, done.stdout
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) <= 3


def test_a_home_that_cannot_be_made_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "temporary").mkdir()
    done = mstar("up", "--ports", "auto", "--home", "file/home", cwd=tmp_path, TMPDIR=str(tmp_path / "temporary"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {tmp_path}/file/home/.mstar/logs: Not a directory\n"
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("try", "--model", "SERVER"), ""),
        (("run", "watch", "r-1"), "the run goes on: `mstar run watch r-1` follows it again\n"),
    ],
)
def test_a_command_that_waits_ends_at_a_signal_with_its_code(
    tmp_path: Path, arguments: tuple[str, ...], line: str, number: int, code: int
) -> None:
    with SilentServer() as server:
        given = [server.url if one == "SERVER" else one for one in arguments]
        command = [sys.executable, "-c", "from mstar.cli import main; main()", *given]
        env = os.environ | {"PYTHONPATH": f"{SHARED}:{SHARED.parent / 'services'}", "MSTAR_URL": server.url}
        with subprocess.Popen(command, cwd=tmp_path, env=env, text=True, stderr=subprocess.PIPE) as process:
            # Its handlers are there before it asks anybody.
            server.wait_for(1, 60)
            process.send_signal(number)
            assert process.stderr is not None
            said = process.stderr.read()
        assert (process.returncode, said) == (code, line)


def test_ctrl_c_while_the_program_is_loaded_ends_it_quietly(tmp_path: Path) -> None:
    # Stands where a library is that is loaded late.
    (tmp_path / "typer.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n")
    path = os.pathsep.join([str(tmp_path), str(SHARED)])
    command = [sys.executable, "-c", "from mstar.cli import main; main()", "--version"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (("up",), "mstar_embedded"),
        (("try",), "mstar_eval"),
        (("data", "inspect", "rows.jsonl"), "mstar_data"),
    ],
)
def test_where_only_the_client_is_installed_a_command_that_needs_more_says_so(
    tmp_path: Path, arguments: tuple[str, ...], missing: str
) -> None:
    hidden = ("minivista", "mstar_data", "mstar_embedded", "mstar_eval")
    code = f"import sys; sys.modules.update(dict.fromkeys({hidden})); from mstar.cli import main; main()"
    env = os.environ | {"PYTHONPATH": str(SHARED)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert missing in done.stderr or "minivista" in done.stderr
    assert done.stderr.endswith("clone the repository and run `make install`\n")


def test_help_names_every_verb(tmp_path: Path) -> None:
    said = mstar("--help", cwd=tmp_path).stdout
    assert all(verb in said for verb in ("up", "demo", "run", "score", "report", "doctor"))


def test_doctor_says_what_is_there(tmp_path: Path) -> None:
    findings = json.loads(mstar("doctor", "--json", cwd=tmp_path).stdout)
    by_name = {finding["what"]: finding for finding in findings}
    assert by_name["python"]["ok"] and by_name["torch"]["ok"]
    assert {"disk", "cores", "port 8400"} <= set(by_name)


def test_results_are_shown_from_the_folder_of_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "r-1"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(finished_run().model_dump_json())
    (tmp_path / "runs" / "latest").symlink_to("r-1")
    shown = json.loads(mstar("run", "show", "latest", "--json", cwd=tmp_path).stdout)
    assert shown == json.loads(finished_run().model_dump_json())
    assert "iteration 1" in mstar("run", "show", cwd=tmp_path).stdout


def test_an_evaluation_has_tables_in_place_of_a_report(tmp_path: Path) -> None:
    measure = MeasureRecipe(model="m", sets={"ai2d": MeasuredSet(path="/x", items=1)})
    made = finished_run()
    made = made.model_copy(update={"recipe": made.recipe.model_copy(update={"measure": measure})})
    folder = tmp_path / "runs" / "r-1"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(made.model_dump_json())
    said = mstar("report", "r-1", cwd=tmp_path).stderr
    assert said == "error: r-01 is an evaluation: its tables are in runs/r-1/evaluation/results.md\n"


def test_a_terminal_that_lacks_a_character_ends_no_command(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"question": "Où …?", "answer": "1"}))
    # The encoding of the streams is chosen when an interpreter starts.
    command = [COLD_PYTHON, "-c", "from mstar.cli import main; main()", "data", "inspect", str(tmp_path / "a.jsonl")]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, "UnicodeEncodeError" in done.stderr) == (0, False)
    assert "O? ??" in done.stdout
