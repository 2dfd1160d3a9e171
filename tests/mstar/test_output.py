"""What the commands print of themselves."""

import io
import json
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from mstar.api.runs import Progress, Run
from mstar.cli import output
from mstar.cli.output import SafeConsole, follow, print_json, program
from mstar.errors import Conflict, Unavailable
from mstar.evolution import RunState
from mstar.recipes import Recipe
from publish_bench import finished_run


def test_the_next_command_is_one_that_the_shell_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / ".venv" / "bin" / "mstar"
    script.parent.mkdir(parents=True)
    script.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script), "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == ".venv/bin/mstar"
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "mstar"
    monkeypatch.setattr(sys, "argv", ["-c"])
    assert program() == "mstar"


def run_in(state: RunState) -> Run:
    progress = Progress(steps_done=1, steps_total=2, stage="it01/generate")
    recipe = Recipe(name="x")
    return Run(
        id="r-1", name="x", state=state, created_at=0, updated_at=0, iterations=1, recipe=recipe, progress=progress
    )


def test_a_server_that_is_replaced_is_asked_again(capsys: pytest.CaptureFixture[str]) -> None:
    answers: list[Run | None] = [run_in(RunState.RUNNING), None, None, run_in(RunState.SUCCEEDED)]

    def read() -> Run:
        answer = answers.pop(0)
        if answer is None:
            raise Unavailable("nothing answers")
        return answer

    assert follow(read).state is RunState.SUCCEEDED and answers == []
    assert capsys.readouterr().err.count("the server does not answer") == 1


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (RunState.PAUSED, "run r-1 is paused: `mstar run resume r-1` continues it"),
        (RunState.CANCELLED, "run r-1 was cancelled"),
        (RunState.FAILED, "run r-1 failed: see its events"),
    ],
)
def test_a_run_that_has_not_succeeded_is_no_success(state: RunState, said: str) -> None:
    with pytest.raises((Conflict, Unavailable), match=f"^{re.escape(said)}$"):
        output.require_success(run_in(state))
    output.require_success(run_in(RunState.SUCCEEDED))


def test_a_stack_that_gave_up_is_not_waited_for() -> None:
    def read() -> Run:
        raise Unavailable("nothing answers")

    reasons = iter([None, "the policy died"])
    with pytest.raises(Unavailable, match="the policy died"):
        follow(read, lambda: next(reasons))


def test_a_table_of_forty_columns_keeps_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(width=40, file=io.StringIO())
    monkeypatch.setattr(output, "console", console)
    console.print(output.results_table(finished_run()))
    lines = console.file.getvalue().split("\n")
    assert all(len(line) <= 40 for line in lines)
    last = finished_run().iterations[-1]
    assert any(f"{100 * last.greedy:.1f}" in line and f"{100 * last.ood:.1f}" in line for line in lines)


def test_further_tests_have_a_column_each(monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished_run()
    plan = run.recipe.evaluation.model_copy(update={"sets": {"charts": 9}})
    last = run.iterations[-1].model_copy(update={"sets": {"charts": 0.123}})
    recipe = run.recipe.model_copy(update={"evaluation": plan})
    console = Console(width=120, file=io.StringIO())
    monkeypatch.setattr(output, "console", console)
    console.print(output.results_table(run.model_copy(update={"recipe": recipe, "iterations": (last,)})))
    assert "charts" in console.file.getvalue() and "12.3" in console.file.getvalue()


@pytest.mark.parametrize("text", ["[/tmp] is full", "[bold]x[/bold]", "[link=http://a.b]x", "a :car: b", "[/]"])
def test_no_printed_text_is_markup(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = SafeConsole(width=100, file=io.StringIO())
    table = Table(text, title=text)
    table.add_row(text)
    shown.print(text)
    shown.print(text, style="dim")
    shown.print(table)
    assert shown.file.getvalue().count(text) == 5  # type: ignore[attr-defined]


@pytest.mark.parametrize("style", [None, "dim"])
@pytest.mark.parametrize("width", [30, 80])
def test_a_line_is_printed_as_one(width: int, style: str | None) -> None:
    shown = io.StringIO()
    line = f"report: /{'a folder/' * 20}report.html"
    SafeConsole(width=width, file=shown).print(line, style=style)
    assert shown.getvalue() == f"{line}\n"


def test_json_has_no_character_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"text": "a\x1b]0;b\x9b2J\x7f\x85 ä 模"}
    print_json(value)
    shown = capsys.readouterr().out
    assert json.loads(shown) == value and "ä 模" in shown
    assert not [one for one in shown if unicodedata.category(one) == "Cc" and one != "\n"]


@pytest.mark.parametrize("text", ["red \x1b[31m", "\x1b]0;title\x07", "\x9b2J", "a\rb", "\x00\x7f\x08"])
def test_no_printed_text_reaches_the_terminal_as_a_command(text: str) -> None:
    shown = io.StringIO()
    console = SafeConsole(file=shown, force_terminal=True, color_system="truecolor", width=60)
    table = Table(title=Text(text))
    table.add_row(text)
    console.print(text, style="bold", markup=False)
    console.rule(text)
    console.print(table, Text(text), Markdown(text))
    styled = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue())  # what rich itself writes
    assert not [one for one in styled if unicodedata.category(one) == "Cc" and one != "\n"], styled
