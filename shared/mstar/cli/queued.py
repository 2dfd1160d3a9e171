"""`mstar eval … --through-queue`: the server's workers measure; this follows them and brings the result files here.

What was asked for stands beside the results, with the key that it was sent with, so the same command goes on with the
same evaluation: after Ctrl-C, after a fault, or to show it again.
"""

import uuid
from pathlib import Path

from pydantic import ValidationError

from mstar.api.downloads import Part
from mstar.api.evaluations import EvaluationCreate
from mstar.cli.download import download
from mstar.cli.output import byte_progress, follow, program, progress_console
from mstar.cli.stopping import told_when_stopped
from mstar.cli.which_run import resolve
from mstar.client import Client, Endpoint
from mstar.errors import Conflict, CorruptArtefact, Unavailable
from mstar.evolution import RunState
from mstar.types import Frozen

NOTE = "queue.json"
"""In the folder of the results."""
ENDED_EARLY = (RunState.FAILED, RunState.PAUSED)


class Note(Frozen):
    """What was asked for, and under which key."""

    create: EvaluationCreate
    key: str


def through_queue(create: EvaluationCreate, out: Path | None, *, quiet: bool) -> Path:
    """Have the server measure, and return the folder with the result files.

    Raises Unavailable without a server or when the evaluation fails, and Conflict for a folder of another evaluation.
    """
    endpoint = Endpoint.from_environment()
    with Client(endpoint) as client:
        if not client.reachable():
            raise Unavailable(
                f"nothing answers at {endpoint.url}: start a server with `{program()} up`, check MSTAR_URL, or leave "
                "out --through-queue"
            )
        create = create.model_copy(update={"model": resolve(client, create.model)})
        folder = out or Path("evaluations") / _folder_name(create)
        note = _noted(folder, create)
        evaluation = client.create_evaluation(create, note.key)
        now = client.evaluation(evaluation.id)
        if now.state in ENDED_EARLY:
            client.resume_evaluation(now.id)
        if not quiet:
            progress_console.print(
                f"evaluation {now.id} at {endpoint.url}; Ctrl-C stops following it, `{program()} run cancel "
                f"{now.id}` ends it",
                style="dim",
            )
        with told_when_stopped(f"evaluation {now.id} goes on: the same command follows it again"):
            ended = follow(lambda: client.run(now.id))
        if ended.state is RunState.CANCELLED:
            raise Conflict(f"evaluation {now.id} was cancelled: to start another one, remove {folder / NOTE}")
        if ended.state is not RunState.SUCCEEDED:
            raise Unavailable(f"evaluation {now.id} {ended.state.value}: {ended.error}; the same command continues it")
        total = next((one.bytes for one in client.downloads(now.id).data if one.part is Part.EVALUATION), 0)
        with byte_progress(f"{now.id} results", total, quiet=quiet) as report:
            download(client, now.id, Part.EVALUATION, folder, report, below=f"{Part.EVALUATION.value}/")
    return folder


def _folder_name(create: EvaluationCreate) -> str:
    name = "".join(sign if sign.isalnum() or sign in "._-" else "_" for sign in create.model).strip("._") or "model"
    return f"{name[-80:]}-{create.checkpoint}" if create.checkpoint else name[-80:]


def _noted(folder: Path, create: EvaluationCreate) -> Note:
    """What was asked for in this folder before; noted now where nothing was. Raises Conflict naming what differs."""
    path = folder / NOTE
    if not path.is_file():
        if (folder / "responses").exists():
            raise Conflict(f"{folder} has the results of another evaluation: choose another --out", field="out")
        note = Note(create=create, key=uuid.uuid4().hex)
        folder.mkdir(parents=True, exist_ok=True)
        # Before it is sent: a Ctrl-C between the two begins no second one.
        path.write_text(note.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return note
    try:
        note = Note.model_validate_json(path.read_bytes())
    except ValidationError:
        raise CorruptArtefact(f"{path} holds no evaluation that this version can read: remove it") from None
    before, now = note.create.model_dump(), create.model_dump()
    different = [name for name in now if now[name] != before[name]]
    if different:
        name = different[0]
        raise Conflict(
            f"{folder} has an evaluation with {name} = {before[name]!r}, now it is {now[name]!r}: choose another "
            f"--out, or remove {path}",
            field=name,
        )
    return note
