"""`mstar score FILE`: step scores for a file of questions with responses, line by line."""

import base64
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.progress import track

from mstar.api.images import ImageInput
from mstar.api.prm import Candidate, ScoreRequest
from mstar.cli.output import console
from mstar.client import Client, Endpoint
from mstar.errors import InvalidInput


def score(
    file: Annotated[Path, typer.Argument(help="JSON lines of image (a path), question and responses.")],
    out: Annotated[Path | None, typer.Option(help="Where to write; standard output by default.")] = None,
) -> None:
    """Score every step of every response. Each output line is the input line with `results` added."""
    if not file.is_file():
        raise InvalidInput(f"{file} does not exist", field="file")
    texts = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    lines = [(number, line) for number, line in texts if line.strip()]
    with Client(Endpoint.from_environment()) as client:
        quiet = out is None or not console.is_terminal
        rows = lines if quiet else track(lines, "scoring")
        scored = (_scored(client, file, number, line) for number, line in rows)
        if out is None:
            for row in scored:
                sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
        else:
            out.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in scored), encoding="utf-8")


def _scored(client: Client, file: Path, number: int, line: str) -> dict[str, Any]:
    where = f"{file.name} line {number}"
    try:
        row = json.loads(line)
        image = (file.parent / row["image"]).read_bytes()
        request = ScoreRequest(
            question=row["question"],
            image=ImageInput(data=base64.b64encode(image).decode()),
            responses=tuple(Candidate(text=text) for text in row["responses"]),
        )
    except (ValueError, KeyError, TypeError, OSError, ValidationError) as error:
        raise InvalidInput(f"{where}: {error}", field="file") from error
    reply = client.score(request)
    return {**row, "model_version": reply.model_version, "results": [r.model_dump() for r in reply.results]}
