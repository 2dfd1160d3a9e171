"""The two data sets of a run as folders that Hugging Face tools load as they are: rows in JSON lines, images beside.

Both have the layout of the Hub's image folders, so that `datasets` decodes the images; the PRM set has the columns of
TRL's stepwise supervision. What this leaves out: the layouts of other trainers (`mstar data export`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mstar.answers.records import columns_of
from mstar.prompts import PromptForm, prompt_text
from mstar.types import Answer, SelectedRow, Sha256, StepLabelRow
from mstar_artefacts.images import ImageStore

_ENDINGS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp"}


def write_cot(folder: Path, rows: Iterable[SelectedRow], images: ImageStore, form: PromptForm) -> int:
    """Write `metadata.jsonl` and `images/`; returns the number of rows.

    `form`: how the run asked, so that a row has the prompt that its response answers.

    Lines are ASCII, since some readers end a line at any Unicode line break that a response may hold.
    """
    return _write(folder, ((row.question.images, _cot(row, form)) for row in rows), images)


def write_step_labels(folder: Path, rows: Iterable[StepLabelRow], images: ImageStore) -> int:
    """Write `metadata.jsonl` and `images/`; returns the number of rows."""
    return _write(folder, ((row.images, _labels(row)) for row in rows), images)


def image_ending(data: bytes) -> str:
    """File ending of an encoded image, by its first bytes: png, jpg or webp; `img` for anything else."""
    return next((end for head, end in _ENDINGS.items() if data.startswith(head)), "img")


def _cot(row: SelectedRow, form: PromptForm) -> dict[str, Any]:
    answer = row.question.answer
    return {
        "id": row.question.id,
        "question": row.question.text,
        "system": form.system,
        "user": prompt_text(row.question, form),
        "response": row.response,
        **_answer(answer),
        "group": row.question.group,
        "iteration": row.iteration,
        "temperature": row.temperature,
        "weight_version": row.weight_version,
        "prm_version": row.prm_version,
        "step_scores": row.step_scores,
        "reward": row.reward,
        "reason": row.reason,
    }


def _labels(row: StepLabelRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "prompt": row.prompt,
        "system": row.system,
        "completions": row.completions,
        # TRL's `tokenize_row` takes booleans: it would cut 0.9 down to 0.
        "labels": [label > 0 for label in row.labels],
        "soft_labels": row.labels,
        **_answer(row.answer),
        "mc_successes": row.mc_successes,
        "mc_rollouts": row.mc_rollouts,
        "weight_version": row.weight_version,
    }


def _answer(answer: Answer | None) -> dict[str, Any]:
    """Columns that `mstar.answers.answer_of` reads again."""
    if answer is None:
        return {"answer": None, "answer_type": None}
    return columns_of(answer)


def _write(folder: Path, rows: Iterable[tuple[tuple[Sha256, ...], Mapping[str, Any]]], images: ImageStore) -> int:
    # A picture that many rows show is written once, under the beginning of its hash.
    (folder / "images").mkdir(parents=True)
    paths: dict[Sha256, str] = {}
    count = 0
    with open(folder / "metadata.jsonl", "w", encoding="utf-8") as lines:
        for own, row in rows:
            paths |= {digest: _copy(folder, digest, images) for digest in own if digest not in paths}
            lines.write(json.dumps({**file_columns([paths[digest] for digest in own]), **row}) + "\n")
            count += 1
    return count


def file_columns(paths: Sequence[str]) -> dict[str, Any]:
    """The columns that name a row's images: `file_name` for one, `file_names` for several, none for words alone."""
    if len(paths) > 1:
        return {"file_names": list(paths)}
    return {"file_name": paths[0]} if paths else {}


def _copy(folder: Path, digest: Sha256, images: ImageStore) -> str:
    data = images.get(digest)
    # 64 bits of the hash: enough among the pictures of one run, and names stay readable.
    path = f"images/{digest[:16]}.{image_ending(data)}"
    (folder / path).write_bytes(data)
    return path
