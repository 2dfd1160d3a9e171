"""Reads what a run left, or an imported set, as samples that can be exported: question, images, response, step labels.

A run's folder has `cot_dataset/` (responses that were trained on) and `prm_dataset/` (solutions with labelled steps).
What `mstar score` wrote is a file with several responses on each line, which are as many samples.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mstar.answers.records import answer_of, columns_of
from mstar.errors import InvalidDataset
from mstar.layout import STEP_SEPARATOR
from mstar.prompts import PromptForm, prompt_text
from mstar.reach import Reach
from mstar.types import Answer, Question
from mstar_data.archives import files_below
from mstar_data.bounds import Bounds, bounds_of
from mstar_data.columns import images_of
from mstar_data.files import Folder, starts_of
from mstar_data.record import BadRecord
from mstar_data.sources import rows_of

SETS = ("cot", "prm")
SCORED = "results"
"""Column that `mstar score` adds."""
_LINES = ("metadata.jsonl", "train.jsonl")
_PROVENANCE = (
    "iteration", "temperature", "weight_version", "prm_version", "reward", "reason", "mc_successes", "mc_rollouts",
    "source_record",
)  # fmt: skip


@dataclass(frozen=True)
class ExportSample:
    """One row to export."""

    where: str
    id: str
    question: str
    """As the source has it."""
    prompt: str
    """The user turn as the model was asked, with options and instruction."""
    system: str
    images: tuple[bytes, ...]
    answer: Mapping[str, Any]
    """Columns `answer`, `answer_type`, `choices`, `precision`, `unit`; empty without a reference answer."""
    split: str
    group: str | None = None
    response: str | None = None
    steps: tuple[str, ...] = ()
    labels: tuple[float, ...] = ()
    step_scores: tuple[float, ...] = ()
    """Of the response, by the PRM; empty where nobody scored it."""
    step_separator: str = STEP_SEPARATOR
    """What separates the steps of the response."""
    provenance: Mapping[str, Any] = field(default_factory=dict)


def sample_folder(source: Path, which: str) -> Path:
    """The folder with the samples: a run's data set, or the set itself. Raises InvalidDataset."""
    if which not in SETS:
        raise InvalidDataset(f"--set {which}: use {' or '.join(SETS)}", field="set")
    inside = source / f"{which}_dataset"
    if inside.is_dir():
        return inside
    if (source / "results.json").is_file():
        raise InvalidDataset(f"{source} has no {inside.name}: a run writes it at its end", field="source")
    if not source.exists():
        detail = f"{source} does not exist: name a run, a data set's folder, or a file that `mstar score` wrote"
        raise InvalidDataset(detail, field="source")
    return source


def samples_of(folder: Path, form: PromptForm, reach: Reach | None = None) -> Iterator[ExportSample]:
    """Every sample of a folder and of its splits, in order. Raises InvalidDataset naming file and line.

    `reach`: where links may lead besides the folder.
    """
    # The folder bounds the paths as at an import: an export must not carry other files of this machine away.
    bounds = bounds_of(folder, reach)
    files = [folder] if folder.is_file() else _files(folder, bounds)
    top = folder.parent if folder.is_file() else folder
    for file in files:
        split = file.parent.name if file.parent != top else "train"
        for number, (where, row) in enumerate(rows_of(file, bounds)):
            place = f"{split}/{where}"
            try:
                if isinstance(row, BadRecord):
                    raise row
                root = Folder(starts_of(file, top.resolve()), bounds)
                for one in _scored(row) if SCORED in row else (row,):
                    yield _sample(one, place, split, f"{split}/{number:06d}", root, form)
            except (TypeError, ValueError, KeyError, AttributeError, InvalidDataset) as error:
                raise InvalidDataset(f"{place}: {getattr(error, 'detail', error)}", field="source") from None


def _files(folder: Path, bounds: Bounds) -> list[Path]:
    below = files_below(folder, bounds)
    files = [path for name in _LINES for path in below if path.name == name]
    if not files:
        raise InvalidDataset(f"{folder} has no {' or '.join(_LINES)}: import the set first", field="source")
    return files


def _scored(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A line of `mstar score` as rows of one response each, without those that the PRM could not score."""
    for response, result in zip(row["responses"], row[SCORED], strict=True):
        if result.get("error") is None:
            yield {
                **row,
                "response": response,
                "step_scores": [step["score"] for step in result["steps"]],
                "reward": result["score"],
                "prm_version": row.get("model_version"),
            }


def _sample(row: Mapping[str, Any], where: str, split: str, name: str, root: Folder, form: PromptForm) -> ExportSample:
    text = str(row.get("question") or row.get("prompt") or "")
    answer = _answer(row)
    question = Question(id=str(row.get("id") or name), text=text, answer=answer)
    # TRL's booleans stand in `labels` of our own exports; the shares that they came from are beside them.
    soft = row.get("soft_labels") if row.get("soft_labels") is not None else row.get("labels")
    return ExportSample(
        where=where,
        id=question.id,
        question=text,
        # A run's labelled solutions hold the prompt as it was asked, and no question beside it.
        prompt=prompt_text(question, form) if row.get("question") else text,
        system=form.system,
        images=tuple(read() for read in images_of(row, root)),
        answer=_columns(answer),
        split=split,
        group=None if row.get("group") is None else str(row["group"]),
        response=row.get("response"),
        steps=tuple(row.get("completions") or ()),
        labels=tuple(map(float, soft or ())),
        step_scores=tuple(map(float, row.get("step_scores") or ())),
        step_separator=form.step_separator,
        provenance={name: row[name] for name in _PROVENANCE if row.get(name) is not None},
    )


def _answer(row: Mapping[str, Any]) -> Answer | None:
    return answer_of(row) if row.get("answer") is not None else None


def _columns(answer: Answer | None) -> dict[str, Any]:
    return columns_of(answer) if answer is not None else {}
