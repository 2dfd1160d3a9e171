"""`mstar score FILE`: step scores for questions with responses, line by line."""

import base64
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from pydantic import BaseModel, Field, ValidationError
from rich.progress import track

from mstar.answers import answer_of
from mstar.answers.records import GOLD_COLUMNS
from mstar.api.images import ImageInput
from mstar.api.prm import Candidate, ScoredResponse, ScoreRequest
from mstar.cli.data import MappingOption, reach_here
from mstar.cli.lines import object_on, wrong_member
from mstar.cli.output import console, progress_console
from mstar.cli.score_files import LINE_ID, best, continued, line_ids
from mstar.cli.score_lines import EXAMPLE, Line, lines_to_score
from mstar.cli.stack import DataRootOption, HomeOption
from mstar.cli.stopping import told_when_stopped
from mstar.cli.which_run import home_is_chosen, read_results
from mstar.client import Client, Endpoint, Retries
from mstar.client.ahead import ahead
from mstar.concurrency import Concurrency
from mstar.errors import InvalidInput
from mstar.prompts import PRESETS, PromptForm, PromptPreset, prompt_text
from mstar.types import MAX_IMAGES, Answer, AnswerType, Question
from mstar.writing import writing

PATIENT = Retries(tries=10)
"""A PRM that has much to do now gets to this file later."""


class ScoreLine(BaseModel):
    """What a line must have; further members are kept as they are."""

    images: tuple[str, ...] = Field(default=(), max_length=MAX_IMAGES)
    """Paths, from the folder of the file; none for a question in words."""
    question: str
    responses: tuple[str, ...]


def score(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(help="JSON lines with images (paths), question and responses; or a data set with responses."),
    ],
    out: Annotated[Path | None, typer.Option(help="File to write to. Default: standard output.")] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="A run id, latest, or a preset whose prompt the PRM knows. Default: the bare question."),
    ] = None,
    keep_top: Annotated[
        int | None, typer.Option(min=1, help="Keep only this many responses of a line, best first.")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Keep only responses with at least this score.")
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Score all lines again, even those that OUT already has.")] = False,
    home: HomeOption = Path("runs"),
    mapping: MappingOption = None,
    data_root: DataRootOption = Path(),
) -> None:
    """Score every step of every response. Each output line is the input line with `results` added.

    FILE may also be whatever `mstar data import` reads, if its records have responses; its pictures are then written
    into a folder beside OUT. With --out, an interrupted command continues where it stopped. It finds out how many
    requests at once the PRM gains from.
    """
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise InvalidInput(f"{out} is the file that is read: name another one", field="out")
    form = None if prompt is None else _form(prompt, home, chosen=home_is_chosen(context))
    # A preset says nothing of steps: the PRM's own separator is taken, as without a prompt.
    separator = None if form is None or prompt in list(PromptPreset) else form.step_separator
    lines = list(lines_to_score(file, out, mapping, reach_here(data_root)))
    options = json.dumps([None if form is None else form.model_dump_json(), keep_top, min_score])
    # Over all lines before the first is sent: an id counts the equal lines before it.
    ids = line_ids((line.text for line in lines), options)
    done = {} if out is None or fresh else continued(out, ids)
    left = [(one, line) for one, line in zip(ids, lines, strict=True) if one not in done]
    if done:
        said = f"{len(done)} of {len(lines)} lines are in {out} already (--fresh scores them anew)"
        progress_console.print(said)
    stopping = nullcontext() if out is None else told_when_stopped(f"the same command continues {out}")
    with (
        stopping,
        Client(Endpoint.from_environment(), retries=PATIENT) as client,
        _opened(out) as sink,
    ):
        quiet = out is None or not console.is_terminal
        rows = ahead(left, lambda one: _scored(client, one[1], form, separator), Concurrency())
        shown = rows if quiet else track(rows, "scoring", len(lines), completed=len(done))
        # Not emptied before there is something better: the PRM may be away, or the input be none.
        empty = out is not None and out.is_file() and not done
        for (one, _), row in zip(left, shown, strict=True):
            # Before the row is written: scores of two models in one file could not be told apart afterwards.
            _check_version(row["model_version"], done, out)
            if empty:
                sink.truncate(0)
                empty = False
            sink.write(json.dumps(_chosen(row, keep_top, min_score) | {LINE_ID: one}, ensure_ascii=False) + "\n")
            # Line by line to the disk's cache, so that a kill costs the requests under way.
            sink.flush()


def _check_version(version: str, done: dict[str, str | None], out: Path | None) -> None:
    """Raises InvalidInput where lines of before were scored by other weights."""
    other = next((before for before in done.values() if before != version), None)
    if other is not None:
        detail = f"{out} has scores of {other}, and the PRM serves {version} now: use --fresh, or name another file"
        raise InvalidInput(detail, field="out")


def _chosen(row: dict[str, Any], keep_top: int | None, min_score: float | None) -> dict[str, Any]:
    """The row with the responses to keep, best first, and their results beside them; `index` stays the input's."""
    kept = best(map(ScoredResponse.model_validate, row["results"]), keep_top, min_score)
    if kept is None:
        return row
    responses = [row["responses"][one.index] for one in kept]
    return row | {"responses": responses, "results": [one.model_dump() for one in kept]}


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    """The file to add to, line by line, so that what was scored before an error is kept. Raises InvalidInput.

    A new file to which nothing was written is removed again.
    """
    if out is None:
        yield sys.stdout
        return
    before = out.exists()
    try:
        # Half of a surrogate pair, which UTF-8 has not, is written as JSON's own escape for it: `\\ud800`.
        sink = out.open("a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InvalidInput(f"{out} cannot be written: {error.strerror}", field="out") from error
    try:
        with writing(out), sink:
            yield sink
    finally:
        if not before and out.is_file() and not out.stat().st_size:
            out.unlink()


def _form(prompt: str, home: Path, *, chosen: bool) -> PromptForm:
    """The form of a preset, or of a run. Raises what `read_results` raises."""
    if prompt in list(PromptPreset):
        return PRESETS[PromptPreset(prompt)]
    return read_results(prompt, home, chosen=chosen).recipe.form


def _asked(row: dict[str, Any], given: ScoreLine, form: PromptForm) -> str:
    """The user turn as the run wrote it, with the options that the line has. Raises InvalidDataset."""
    answer = None
    if any(row.get(name) is not None for name in GOLD_COLUMNS):
        answer = answer_of(row)
    elif isinstance(options := row.get("choices"), list) and options:
        # Which option is right is not shown, so that any letter does.
        answer = Answer(type=AnswerType.CHOICE, value="A", choices=tuple(map(str, options)))
    return prompt_text(Question(id="line", text=given.question, answer=answer), form)


def _scored(client: Client, line: Line, form: PromptForm | None, separator: str | None) -> dict[str, Any]:
    """The line with its results. Raises InvalidInput naming the line."""
    where = line.where
    try:
        # Kept beside the model: members that `ScoreLine` does not know go to the output as they are.
        row = object_on(line.text, where, EXAMPLE)
        given = ScoreLine.model_validate(row)
        if "image" in row:
            # Left alone, the question would be scored without its picture.
            raise ValueError("image is not read: send images, a list of paths")
        request = ScoreRequest(
            question=given.question if form is None else _asked(row, given, form),
            system="" if form is None else form.system,
            step_separator=separator,
            images=tuple(_encoded(line.folder / image) for image in given.images),
            responses=tuple(Candidate(text=text) for text in given.responses),
        )
        reply = client.score(request)
    except ValidationError as error:
        raise wrong_member(error, where, EXAMPLE) from error
    except InvalidInput as error:
        detail = error.detail if error.detail.startswith(where) else f"{where}: {error.detail}"
        raise InvalidInput(detail, field="file") from error
    except (ValueError, OSError) as error:
        raise InvalidInput(f"{where}: {error}", field="file") from error
    return {**row, "model_version": reply.model_version, "results": [r.model_dump() for r in reply.results]}


def _encoded(image: Path) -> ImageInput:
    return ImageInput(data=base64.b64encode(image.read_bytes()).decode())
