"""Recipes over a data set and a model folder that a test writes, and their admission with every check."""

import json
import shutil
import time
from contextlib import nullcontext
from pathlib import Path

import minivista
from coordinator_bench import SMALL
from mstar.recipes import Recipe
from mstar_coordinator.scheduler.admission import Trainers, admit
from mstar_coordinator.scheduler.data_admission import DataAdmission
from mstar_coordinator.scheduler.data_places import DataPlaces
from trusting_looks import TrustingLooks

PICTURE = (Path(__file__).parents[1] / "cases" / "pictures" / "grey16.png").read_bytes()
SPLITS = {"train": 8, "validation": 4, "test_id": 4, "test_ood": 4}


def write_sources(root: Path) -> Path:
    """Fill an allowed folder with a sound data set `set` and a sound model `model`."""
    for split, count in SPLITS.items():
        folder = root / "set" / split
        folder.mkdir(parents=True)
        rows = [{"file_name": f"{i}.png", "question": "How many?", "answer": "3"} for i in range(count)]
        (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
        for row in rows:
            (folder / row["file_name"]).write_bytes(PICTURE)
    shutil.copytree(minivista.MODEL_FOLDER, root / "model")
    return root


def with_sources(data: str = "set", base: str = "model") -> Recipe:
    """The small recipe on that data set and that model."""
    return SMALL.model_copy(
        update={
            "data": SMALL.data.model_copy(update={"source": data}),
            "model": SMALL.model.model_copy(update={"base": base}),
        }
    )


def with_prm(**fields: object) -> Recipe:
    """The recipe on those folders, with these fields of its PRM."""
    assert SMALL.prm is not None
    return with_sources().model_copy(update={"prm": SMALL.prm.model_copy(update=fields)})


def admitted(recipe: Recipe, root: Path, reserve: int = 0) -> Recipe:
    """The recipe once all checks have passed, those of its data included. Raises what they raise."""
    found = admit(recipe, DataPlaces(root), root / "home" / "not" / "yet", reserve, Trainers())
    DataAdmission(lambda: nullcontext(TrustingLooks()), time.monotonic, 50, root / "home").check(found)
    return found


def write_weights(path: Path, header: object, body: bytes) -> None:
    """Write a safetensors file with this header, which need not be right."""
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def tensor(begin: int, end: int, shape: list[int] | None = None) -> dict[str, object]:
    """Entry of a header: bytes from `begin` to `end`."""
    return {"dtype": "U8", "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}
