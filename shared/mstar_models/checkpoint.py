"""The weights that an inference service serves: a verified folder, loaded whole, under one version."""

from pathlib import Path
from typing import Any

from safetensors import safe_open

from mstar.errors import InvalidInput
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.loading import load_model

MODEL_FOLDER = "model"


def load_checkpoint(store: ArtefactStore, ref: ArtefactRef) -> tuple[Any, Path]:
    """Model and its folder from a checkpoint artefact, every file of it hashed first.

    Raises NotFound, CorruptArtefact, or InvalidInput when the weights are not finite.
    """
    folder = store.verify(ref, MODEL_FOLDER)
    model = load_model(folder)
    check_finite(folder, ref.id)
    return model, folder


def check_finite(folder: Path, name: str) -> None:
    """Raises InvalidInput, which calls the checkpoint by `name`, when a weight in the folder is not finite."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - no mapping
                tensor = tensors.get_tensor(key)
                # One that is not finite makes the sum so; the sum of finite ones may overflow, hence the second look.
                if not tensor.sum().isfinite() and not tensor.isfinite().all():
                    raise InvalidInput(f"weight {key} of {name} is not finite", field="artefact")
