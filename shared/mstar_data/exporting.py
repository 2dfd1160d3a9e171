"""Writes samples in the layout of a trainer: a new folder that appears whole, with a card of where rows come from."""

import hashlib
import json
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mstar.errors import Conflict, InvalidDataset
from mstar_data.layouts import ExportLayout
from mstar_data.rows import image_ending
from mstar_data.samples import ExportSample
from mstar_data.shards import write_shards


@dataclass
class Exported:
    """What was written, for the card."""

    rows: int = 0
    images: int = 0
    scored: int = 0
    """Rows with step scores or labelled steps."""
    values: dict[str, Counter[str]] = field(default_factory=dict)
    """Provenance column → value → rows."""


@dataclass(frozen=True)
class Origin:
    """What the card says of all samples together."""

    title: str
    model: str = "unknown"
    """Base model."""
    prompt: str = "unknown"
    """Preset of the prompt."""
    source: str = "unknown"
    """Data set that the questions come from."""
    licence: str = "other"
    step_separator: str | None = None
    """What separates the steps of a run's responses; None for an imported set, which does not say."""


def export(samples: Iterable[ExportSample], layout: ExportLayout, target: Path, origin: Origin) -> Exported:
    """Write the folder `target`, or nothing. Raises Conflict where it is there, InvalidDataset for an unfit sample."""
    if target.exists():
        raise Conflict(f"{target} exists already: choose another --as, or remove it", field="as")
    # Not named after the process: in containers a number comes back, and with it what a killed export has left.
    work = target.with_name(f".{target.name}.exporting-{uuid.uuid4().hex}")
    work.mkdir(parents=True)
    try:
        counts = Exported()
        if layout.embedded:
            counts.images = write_shards(work / "data", _counted(samples, counts), layout)
        else:
            _write_list(work, _counted(samples, counts), layout, counts)
        if not counts.rows:
            raise InvalidDataset(
                "there is no row to export: a run that kept no response has none (--set prm exports labelled steps)",
                field="source",
            )
        (work / "README.md").write_text(card(layout, origin, counts), encoding="utf-8")
        # Last, with the card inside: whoever finds the folder finds all of it.
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return counts


def card(layout: ExportLayout, origin: Origin, counts: Exported) -> str:
    """The folder's README with the Hub's front matter."""
    data = "data/*.parquet" if layout.embedded else "*.json"
    lines = [
        f"---\nlicense: {origin.licence}\ntask_categories: [visual-question-answering]\ntags: [mstar]\n"
        f'configs:\n- config_name: default\n  data_files: "{data}"\n---',
        f"# {origin.title}",
        f"{counts.rows} rows in the layout `{layout.name}`, {counts.images} images. {counts.scored} rows have step "
        "scores or labelled steps.",
        "## Where the rows come from",
        f"- base model: `{origin.model}`",
        f"- prompt: `{origin.prompt}`",
        f"- questions: `{origin.source}`",
        *(f"- {name}: {_listed(values)}" for name, values in counts.values.items()),
        "Each row names the weights, temperature and PRM behind it, where it has them, and its source record (`id`).",
        *_how_to_load(layout),
    ]
    return "\n\n".join(lines[:4]) + "\n\n" + "\n".join(lines[4:-2]) + "\n\n" + "\n\n".join(lines[-2:]) + "\n"


def _how_to_load(layout: ExportLayout) -> list[str]:
    notes = {
        "ms-swift": "Images are paths below this folder: set `ROOT_IMAGE_DIR` to it.",
        "llama-factory": "Images are paths below this folder: set `dataset_dir` and `media_dir` to it.",
        "trl-stepwise": "`labels` are booleans, as TRL's PRMTrainer (up to 1.13, it reads no images) takes them: "
        "a step is good if any completion from it reached the answer. `soft_labels` has the shares.",
        "verl": "verl has no reward for the `data_source` of these rows: set "
        "`reward.custom_reward_function.path=pkg://mstar.adapters.verl`, or name your own.",
    }
    return [notes.get(layout.name, "`datasets.load_dataset` decodes the images.")]


def _listed(values: Counter[str]) -> str:
    named = ", ".join(f"{value} ({count})" for value, count in values.most_common(8))
    return named + (f" and {len(values) - 8} more" if len(values) > 8 else "")


def _counted(samples: Iterable[ExportSample], counts: Exported) -> Iterator[ExportSample]:
    for sample in samples:
        counts.rows += 1
        counts.scored += bool(sample.step_scores or sample.labels)
        for name in ("weight_version", "temperature", "prm_version", "iteration"):
            if name in sample.provenance:
                counts.values.setdefault(name, Counter())[str(sample.provenance[name])] += 1
        yield sample


def _write_list(folder: Path, samples: Iterable[ExportSample], layout: ExportLayout, counts: Exported) -> None:
    """A JSON list with images beside; for LLaMA-Factory also the file that declares it."""
    (folder / "images").mkdir()
    # A list, since both trainers read by `datasets`, which takes the columns of JSON lines from the first 10 MB.
    name = "train.json"
    with (folder / name).open("w", encoding="utf-8", newline="\n") as sink:
        sink.write("[\n")
        for number, sample in enumerate(samples):
            paths = [_image_file(folder, data, counts) for data in sample.images]
            # ASCII: some readers end a line at any Unicode line break that a response may hold.
            sink.write((",\n" if number else "") + json.dumps(layout.row(sample, paths)))
        sink.write("\n]\n")
    if layout.name == "llama-factory":
        columns = {"messages": "messages", "images": "images"}
        tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
        about = {"mstar": {"file_name": name, "formatting": "sharegpt", "columns": columns, "tags": tags}}
        (folder / "dataset_info.json").write_text(json.dumps(about, indent=2) + "\n")


def _image_file(folder: Path, data: bytes, counts: Exported) -> str:
    name = f"images/{hashlib.sha256(data).hexdigest()}{image_ending(data)}"
    if not (folder / name).exists():
        (folder / name).write_bytes(data)
        counts.images += 1
    return name


def provenance_of(folder: Path) -> Mapping[str, Any]:
    """What an import wrote of its own source; empty for a folder that was not imported."""
    path = folder / "import.json"
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}
