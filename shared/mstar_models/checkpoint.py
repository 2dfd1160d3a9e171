"""The weights that an inference service serves: a verified folder, loaded whole, under one version."""

from pathlib import Path
from typing import Any

from mstar.errors import InvalidInput
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.loading import load_model

MODEL_FOLDER = "model"


def load_checkpoint(store: ArtefactStore, ref: ArtefactRef) -> tuple[Any, Path]:
    """Model and its folder from a checkpoint artefact, every file hashed first.

    Raises NotFound, CorruptArtefact, or InvalidInput when the weights are not finite.
    """
    folder = store.verify(ref) / MODEL_FOLDER
    model = load_model(folder)
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise InvalidInput(f"weight {name} of {ref.id} is not finite", field="artefact")
    return model, folder
