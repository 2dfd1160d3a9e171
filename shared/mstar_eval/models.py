"""What `mstar eval` is given: a run, a model folder, or the address of a policy that serves already."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mstar.errors import CorruptArtefact, InvalidInput, NotFound
from mstar.http_json import Target
from mstar.prompts import PROMPT_FILE, PromptForm

_EDGE = 2**20
_HEADS = (".safetensors", ".json", ".jinja", ".txt", ".model")


@dataclass(frozen=True)
class Measured:
    """A model to measure."""

    name: str
    """For tables and file names."""
    folder: Path | None = None
    """Hugging Face layout; None for one that is served."""
    url: str = ""
    prm: Path | None = None
    """The run's own PRM, where it has one."""
    form: PromptForm | None = None
    """How the run put its questions; None for what no run has left."""
    out: Path = Path("evaluations")
    """Where results go unless the user says otherwise."""


def measured(model: str, home: Path, builtins: Mapping[str, Path]) -> Measured:
    """What a name stands for; `builtins`: folders of the models that ship.

    Raises NotFound, and InvalidInput for a folder without a model.
    """
    if model.startswith(("http://", "https://")):
        name = Target(model).shown.partition("//")[2]
        return Measured(name=_safe(name), url=model, out=Path("evaluations") / _safe(name))
    if model in builtins:
        name = model.partition(":")[2]
        return Measured(name=name, folder=builtins[model], out=Path("evaluations") / name)
    run = home / model
    # Runs before folders: `latest` is a link that every home has, and folders can be written as ./latest.
    if "/" not in model and (run / "policy" / "config.json").is_file():
        prm = run / "prm" if (run / "prm" / "config.json").is_file() else None
        name = _safe(run.resolve().name)
        return Measured(name=name, folder=run / "policy", prm=prm, form=_form(run / "policy"), out=run / "evaluation")
    folder = Path(model)
    if (folder / "config.json").is_file():
        name = _safe(folder.resolve().name)
        return Measured(name=name, folder=folder, form=_form(folder), out=Path("evaluations") / name)
    if folder.is_dir():
        raise InvalidInput(f"{model} holds no model: it has no config.json", field="model")
    if run.is_dir():
        raise NotFound(f"run {model} has no policy yet: it is written at the run's end", field="model")
    raise NotFound(
        f"{model} is neither a run in {home}, a model folder nor the address of a policy service", field="model"
    )


def _form(folder: Path) -> PromptForm | None:
    """The form in which a run asked this model, which it leaves beside the weights; None for a model of no run.

    Raises CorruptArtefact for one that cannot be read.
    """
    path = folder / PROMPT_FILE
    if not path.is_file():
        return None
    try:
        return PromptForm.model_validate_json(path.read_bytes())
    except ValidationError:
        raise CorruptArtefact(f"{path} holds no prompt that this version can read", field="model") from None


def folder_version(folder: Path) -> str:
    """Changes with the model's files: their names, sizes, first and last mebibyte. Sixteen hexadecimal digits."""
    digest = hashlib.sha256()
    # Whole files would be gigabytes to read before the first question.
    for path in sorted(folder.iterdir()):
        if path.suffix in _HEADS and path.is_file():
            size = path.stat().st_size
            digest.update(f"{path.name}\0{size}\0".encode())
            with path.open("rb") as file:
                digest.update(file.read(_EDGE))
                file.seek(max(0, size - _EDGE))
                digest.update(file.read(_EDGE))
    return digest.hexdigest()[:16]


def _safe(name: str) -> str:
    # Names of users' folders and addresses become names of result files here.
    return "".join(sign if sign.isalnum() or sign in "._-" else "_" for sign in name)[:80].strip(".") or "model"
