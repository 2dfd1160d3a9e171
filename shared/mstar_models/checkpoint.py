"""The weights that an inference service serves: a verified folder, loaded whole, under one version."""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open

from mstar.errors import InvalidInput
from mstar.model_files import NAMES, is_model_file
from mstar.steps import ArtefactRef
from mstar_artefacts.digests import BLAKE3, digests_of
from mstar_artefacts.store import ArtefactStore
from mstar_models.loading import load_model

Loaded = TypeVar("Loaded")

MODEL_FOLDER = "model"
MORE_TEMPLATES = "additional_chat_templates"
"""Where transformers looks for named templates beside `chat_template.jinja`."""
FINITE = "finite"
"""In a manifest's metadata: true where every weight was found to be a finite number before it was written."""


def load_checkpoint(
    store: ArtefactStore, ref: ArtefactRef, load: Callable[[Path], Loaded] = load_model
) -> tuple[Loaded, Path]:
    """What `load` makes of a checkpoint artefact, and its folder, which holds exactly what its manifest lists.

    Raises NotFound, CorruptArtefact, or InvalidInput for a weight that is not finite or a file that no model has.
    """
    folder = store.unread(ref, MODEL_FOLDER)
    if folder is None:
        folder = store.verify(ref, MODEL_FOLDER)
        loaded = _load(folder, ref, load)
    else:
        loaded = _load_while_verified(store, folder, ref, load)
    # The trainer looks at every weight before it writes a checkpoint, and says so in the manifest.
    if not store.manifest(ref).metadata.get(FINITE):
        check_finite(folder, ref.id)
    return loaded, folder


def _load_while_verified(
    store: ArtefactStore, folder: Path, ref: ArtefactRef, load: Callable[[Path], Loaded]
) -> Loaded:
    """Hashing reads the same files as loading does, so they share the time; nothing loaded leaves before both are done.

    Raises CorruptArtefact before anything that loading made of a damaged file.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="verify") as pool:
        verified = pool.submit(store.verify, ref, MODEL_FOLDER)
        try:
            return _load(folder, ref, load)
        finally:
            # In `finally`: a damaged file is why loading failed, so its error is the one to raise.
            verified.result()


def _load(folder: Path, ref: ArtefactRef, load: Callable[[Path], Loaded]) -> Loaded:
    for path in folder.rglob("*"):
        # A file with code or a pickle must not lie where a library may come to look for one.
        if path.is_file() and not is_model_file(path.name):
            raise InvalidInput(
                f"checkpoint {ref.id} holds {path.name[:200]}, which is not a model file: make it again without it",
                field="artefact",
            )
    return load(folder)


def folder_version(folder: Path) -> str:
    """A version for weights that are not an artefact: the folder's name and a digest of all files that change answers.

    These are weights, configuration, tokenizer, processor, chat templates and code; no card and no licence.
    Raises InvalidInput when a weight is not finite.
    """
    name = folder.resolve().name
    check_finite(folder, name)
    files = _answering(folder)
    digests = digests_of([(path, BLAKE3) for path in files])
    # With their names: a template that is renamed is another one, or none.
    whole = json.dumps([[path.relative_to(folder).as_posix(), one] for path, one in zip(files, digests, strict=True)])
    return f"{name}@{hashlib.sha256(whole.encode()).hexdigest()[:12]}"


def _answering(folder: Path) -> list[Path]:
    """Files that transformers may read from a model's folder, and that so may change its answers, by name."""
    own = [path for path in folder.iterdir() if is_model_file(path.name) and path.suffix != ".md"]
    own = [path for path in own if path.name not in NAMES]
    found = [*own, *folder.glob("*.py"), *(folder / MORE_TEMPLATES).glob("*.jinja")]
    return sorted(path for path in found if path.is_file())


def check_finite(folder: Path, name: str) -> None:
    """Raises InvalidInput, which calls the checkpoint by `name`, for a file that is damaged or a weight not finite."""
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as tensors:
                _check_finite(tensors, path.name, name)
        # OSError: a folder of that name, links in a circle, a file that may not be read.
        except (OSError, SafetensorError) as error:
            raise InvalidInput(f"{path.name} of {name} is not a safetensors file: {error}", field="model") from error


def _check_finite(tensors: Any, file: str, name: str) -> None:
    for key in tensors.keys():  # noqa: SIM118 - no mapping
        tensor = tensors.get_tensor(key)
        # torch has no sum of numbers of eight bits.
        tensor = tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor
        # One that is not finite makes the sum so; the sum of finite ones may overflow, hence the second look.
        if not tensor.sum().isfinite() and not tensor.isfinite().all():
            raise InvalidInput(
                f"weight {key} in {file} of {name} is not finite: take an earlier checkpoint, or convert it again",
                field="artefact",
            )
