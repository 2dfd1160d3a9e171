"""The columns that each trainer takes. All keep the source's own columns beside them, so that an export imports again.

In what a trainer reads, `<image>` stands for an image and nothing else: a text that merely talks of it has `< image>`.

| layout | file | for |
|---|---|---|
| `trl` | Parquet, images inside | TRL's SFT: `prompt`, `completion`, `images` |
| `trl-stepwise` | Parquet, images inside | TRL's PRMTrainer: `prompt`, `completions`, `labels`, `soft_labels` |
| `verl` | Parquet, images inside | verl: `prompt`, `images`, `reward_model.ground_truth` |
| `parquet` | Parquet, images inside | everything as columns |
| `ms-swift` | JSON, images beside | `messages` with `<image>`, `images` |
| `llama-factory` | JSON, images beside | the same, and `dataset_info.json` |
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mstar.errors import InvalidDataset
from mstar.image_marks import in_parts, marked, places, unmarked
from mstar.layout import join_segments
from mstar_data.columns import EXPORTED
from mstar_data.samples import ExportSample

Images = Sequence[Any]
"""What a row has for its images: paths, or objects with their bytes."""


@dataclass(frozen=True)
class ExportLayout:
    """How rows are written."""

    name: str
    row: Callable[[ExportSample, Images], dict[str, Any]]
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Name → type, where images stand in the rows, as Parquet; without any they are files beside a JSON list.

    Types are those of `datasets`, `[type]` for a list and `{name: type}` for a struct. A row may lack any of them.
    """
    labelled_steps: bool = False
    """Takes only samples with labelled steps; all others take only samples with a response or an answer."""

    @property
    def embedded(self) -> bool:
        """Whether images stand in the rows."""
        return bool(self.columns)


def layout(name: str) -> ExportLayout:
    """A layout by its name. Raises InvalidDataset with the names that there are."""
    found = LAYOUTS.get(name)
    if found is None:
        raise InvalidDataset(f"--layout {name[:40]}: use one of {', '.join(LAYOUTS)}", field="layout")
    return found


def fitting(chosen: ExportLayout, samples: Iterable[ExportSample]) -> ExportLayout:
    """The layout for these samples, which are looked at once: contents are parts where a question places its images."""
    if chosen.name == "trl" and any(places(sample.prompt, len(sample.images)) for sample in samples):
        return _PLACED
    return chosen


def _own(sample: ExportSample) -> dict[str, Any]:
    """The source's columns, and where the sample comes from."""
    columns: dict[str, Any] = {
        "id": sample.id,
        "question": sample.question,
        **sample.answer,
        "group": sample.group,
        "split": sample.split,
        "response": sample.response,
        "step_scores": list(sample.step_scores),
        **sample.provenance,
    }
    return {name: value for name, value in columns.items() if value not in (None, [])}


def _said(sample: ExportSample) -> str:
    """What the assistant says: the response, else the bare answer."""
    if sample.response is not None:
        return sample.response
    if sample.steps:
        return join_segments(sample.steps, sample.step_separator)
    if "answer" not in sample.answer:
        raise InvalidDataset(f"{sample.where}: neither a response nor an answer: nothing can be trained on it")
    return str(sample.answer["answer"])


def _labels(sample: ExportSample) -> dict[str, Any]:
    """Booleans as TRL's `tokenize_row` takes them: it cuts 0.9 down to 0. Soft labels keep their own column."""
    if not sample.steps:
        return {}
    return {
        "completions": list(sample.steps),
        "labels": [label > 0 for label in sample.labels],
        "soft_labels": list(sample.labels),
    }


def _turns(sample: ExportSample, content: str) -> list[dict[str, str]]:
    system = [{"role": "system", "content": unmarked(sample.system)}] if sample.system else []
    return [*system, {"role": "user", "content": content}]


def _answered(sample: ExportSample) -> dict[str, str]:
    return {"role": "assistant", "content": unmarked(_said(sample))}


def _trl(sample: ExportSample, images: Images) -> dict[str, Any]:
    return {
        **_own(sample),
        # TRL puts the images before the text of the first user turn.
        "prompt": _turns(sample, unmarked(sample.prompt)),
        "completion": [_answered(sample)],
        "images": list(images),
    }


def _trl_placed(sample: ExportSample, images: Images) -> dict[str, Any]:
    *system, _ = _turns(sample, "")
    turns = [{**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in (*system, _answered(sample))]
    user = {"role": "user", "content": in_parts(sample.prompt, len(images))}
    return {**_own(sample), "prompt": [*turns[:-1], user], "completion": turns[-1:], "images": list(images)}


def _trl_stepwise(sample: ExportSample, images: Images) -> dict[str, Any]:
    if not sample.steps:
        raise InvalidDataset(f"{sample.where}: no labelled steps: export a PRM data set (--set prm)", field="layout")
    return {**_own(sample), "prompt": sample.prompt, **_labels(sample), "images": list(images)}


def _verl(sample: ExportSample, images: Images) -> dict[str, Any]:
    if "answer" not in sample.answer:
        raise InvalidDataset(f"{sample.where}: no answer to reward: verl needs one", field="layout")
    return {
        "data_source": EXPORTED,
        "prompt": _turns(sample, marked(sample.prompt, len(images))),
        "images": list(images),
        "ability": sample.group or "multimodal_reasoning",
        "reward_model": {"style": "rule", "ground_truth": str(sample.answer["answer"])},
        # All that verl tells a reward function beside the reference answer.
        "extra_info": {"index": sample.id, "split": sample.split, "question": sample.question, **_rest(sample.answer)},
        **_own(sample),
        **_labels(sample),
    }


def _rest(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "answer"}


def _parquet(sample: ExportSample, images: Images) -> dict[str, Any]:
    return {**_own(sample), "prompt": sample.prompt, **_labels(sample), "images": list(images)}


def _messages(sample: ExportSample, images: Images) -> dict[str, Any]:
    return {
        "messages": [*_turns(sample, marked(sample.prompt, len(images))), _answered(sample)],
        "images": list(images),
        **_own(sample),
        **_labels(sample),
    }


_OWN: Mapping[str, Any] = {
    **dict.fromkeys(("id", "question", "answer", "answer_type"), "string"),
    "choices": ["string"],
    "alternatives": ["string"],
    "precision": "int64",
    **dict.fromkeys(("unit", "group", "split", "response"), "string"),
    "step_scores": ["float64"],
    "iteration": "int64",
    "temperature": "float64",
    "weight_version": "string",
    "prm_version": "string",
    "reward": "float64",
    "reason": "string",
    "mc_successes": ["int64"],
    "mc_rollouts": ["int64"],
    "source_record": "string",
}
_IMAGES: Mapping[str, Any] = {"images": [{"bytes": "binary", "path": "string"}]}
_LABELS: Mapping[str, Any] = {"completions": ["string"], "labels": ["bool"], "soft_labels": ["float64"]}
_CHAT = [{"role": "string", "content": "string"}]
_PARTS = [{"role": "string", "content": [{"type": "string", "text": "string"}]}]
_VERL: Mapping[str, Any] = {
    "data_source": "string",
    "prompt": _CHAT,
    "ability": "string",
    "reward_model": {"style": "string", "ground_truth": "string"},
    "extra_info": {
        **dict.fromkeys(("index", "split", "question", "answer_type", "unit"), "string"),
        "choices": ["string"],
        "alternatives": ["string"],
        "precision": "int64",
    },
}

_PLACED = ExportLayout("trl", _trl_placed, {**_OWN, "prompt": _PARTS, "completion": _PARTS, **_IMAGES})
LAYOUTS: Mapping[str, ExportLayout] = {
    one.name: one
    for one in (
        ExportLayout("trl", _trl, {**_OWN, "prompt": _CHAT, "completion": _CHAT, **_IMAGES}),
        ExportLayout(
            "trl-stepwise", _trl_stepwise, {**_OWN, "prompt": "string", **_LABELS, **_IMAGES}, labelled_steps=True
        ),
        ExportLayout("verl", _verl, {**_VERL, **_OWN, **_LABELS, **_IMAGES}),
        ExportLayout("parquet", _parquet, {**_OWN, "prompt": "string", **_LABELS, **_IMAGES}),
        ExportLayout("ms-swift", _messages),
        ExportLayout("llama-factory", _messages),
    )
}
