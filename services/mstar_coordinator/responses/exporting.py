"""The result of a filter as a download: JSON lines, or a folder that TRL's SFT trainer reads, as a zip.

Only the responses that the filter means are in it, in the order of the search. It is written while it is sent, page by
page, so that its size costs no memory.
"""

import io
import json
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

from mstar.api.responses import FoundQuestion, FoundResponse, ResponseQuery
from mstar.image_marks import in_parts, places, unmarked
from mstar.prompts import PromptForm, prompt_text
from mstar_coordinator.export.datasets import image_ending
from mstar_coordinator.responses.searching import search

PAGE = 100
PART_BYTES = 1 << 20
METADATA = "metadata.jsonl"
Image = Callable[[str], bytes]


def found(connection: sqlite3.Connection, query: ResponseQuery) -> Iterator[tuple[FoundQuestion, FoundResponse]]:
    """Every response that the filter means, with its question. Raises Unavailable where a page takes too long."""
    after = query.after
    while True:
        # A search has its deadline for each page, so that an export of any size can be finished.
        page = search(connection, query.model_copy(update={"after": after, "limit": PAGE}))
        for question in page[:PAGE]:
            yield from ((question, one) for one in question.responses if one.found)
        if len(page) <= PAGE:
            return
        after = page[PAGE - 1].cursor


def json_lines(rows: Iterator[tuple[FoundQuestion, FoundResponse]]) -> Iterator[bytes]:
    """A line for each response. ASCII, since some readers end a line at any Unicode line break."""
    for question, response in rows:
        yield json.dumps(_row(question, response)).encode() + b"\n"


def trl_zip(rows: Iterator[tuple[FoundQuestion, FoundResponse]], form: PromptForm, image: Image) -> Iterator[bytes]:
    """`metadata.jsonl` with `prompt`, `completion` and the names of the images beside it, which `datasets` decodes."""
    sink = _Sink()
    names: dict[str, str] = {}
    placing = False
    # Only one entry of a zip file can be open, so the lines wait on the disk until all images are in; in two forms,
    # since one question that places its images makes the contents of all of them lists of parts.
    with (
        tempfile.TemporaryFile() as texts,
        tempfile.TemporaryFile() as parts,
        zipfile.ZipFile(sink, "w") as archive,
    ):
        for question, response in rows:
            own = question.question.images
            for digest in own:
                if digest not in names:
                    data = image(digest)
                    names[digest] = f"images/{digest[:16]}.{image_ending(data)}"
                    archive.writestr(names[digest], data)
                    yield sink.taken()
            files = [names[digest] for digest in own]
            row = _trl(question, response, form, files)
            placing = placing or places(row["prompt"][-1]["content"], len(own))
            texts.write(json.dumps(_with_contents(row, lambda text, _: unmarked(text))).encode() + b"\n")
            parts.write(json.dumps(_with_contents(row, in_parts)).encode() + b"\n")
        lines = parts if placing else texts
        lines.seek(0)
        # The size is not known when its header is sent, and may exceed what 32 bits can say.
        with archive.open(METADATA, "w", force_zip64=True) as file:
            while block := lines.read(PART_BYTES):
                file.write(block)
                yield sink.taken()
    yield sink.taken()


def _with_contents(row: dict[str, Any], written: Callable[[str, int], Any]) -> dict[str, Any]:
    """The row with its turns in another form; `written`: a content, from its text and the number of its images."""
    images = len(row["file_names"])
    turns = {
        name: [
            {**turn, "content": written(turn["content"], images if turn["role"] == "user" else 0)} for turn in row[name]
        ]
        for name in ("prompt", "completion")
    }
    return {**row, **turns}


class _Sink(io.RawIOBase):
    """What a zip file writes to, forward only."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._waiting.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What was written since the last look."""
        data, self._waiting = b"".join(self._waiting), []
        return data


def _row(question: FoundQuestion, response: FoundResponse) -> dict[str, Any]:
    asked = question.question
    return {
        "question_id": asked.id,
        "question": asked.text,
        "image_sha256": asked.images,
        "group": asked.group,
        "answer": question.reference or None,
        "iteration": question.iteration,
        "temperature": question.temperature,
        "weight_version": question.weight_version,
        "prm_version": question.prm_version,
        "index": response.index,
        "response": response.text,
        "correct": response.correct,
        "extracted": response.extracted,
        "verdict_reason": response.reason,
        "kept": response.kept,
        "kept_reason": response.why,
        "steps": response.steps,
        "step_scores": response.scores,
        "reward": response.reward,
    }


def _trl(question: FoundQuestion, response: FoundResponse, form: PromptForm, files: list[str]) -> dict[str, Any]:
    system = [{"role": "system", "content": form.system}] if form.system else []
    user = {"role": "user", "content": prompt_text(question.question, form)}
    return {
        "file_names": files,
        "prompt": [*system, user],
        "completion": [{"role": "assistant", "content": response.text}],
        **{name: value for name, value in _row(question, response).items() if name not in ("response", "steps")},
    }
