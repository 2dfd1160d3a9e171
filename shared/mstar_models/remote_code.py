"""Code from a model's folder, for families that transformers does not have: only what the operator allowed, by hash.

`python -m mstar_models.remote_code FOLDER` prints the entry that allows a folder. The code files are read,
compared with the digest, and imported from memory, so nothing that changes on the disk later is run. It runs with all
rights of the service: the hash says which code it is, not that it is harmless.
"""

import hashlib
import importlib
import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from mstar.errors import Forbidden, InvalidInput
from mstar.trusted_code import TrustedCode, parse_trusted_code

PACKAGE = "mstar_trusted_"
"""How the names of packages begin that are imported from verified bytes; the digest follows."""
MAX_BYTES = 10_000_000
NAMING_FILES = ("config.json", "processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
"""Files whose `auto_map` names classes."""

_allowed: dict[str, TrustedCode] = {}


def allow_code(setting: str) -> None:
    """Let this process run the code that the setting names, once it is needed. Raises ValueError."""
    _allowed.clear()
    _allowed.update(parse_trusted_code(setting))


def trusted_class(model_type: str, auto: str) -> Any:
    """The class that the allowed folder's `auto_map` names for `auto`, such as AutoModel; None: it names none.

    Raises Forbidden for code that is not allowed, or not the code that was allowed.
    """
    code = _allowed.get(model_type)
    if code is None:
        raise Forbidden(
            f"models of type {model_type!r} need code from a folder, which runs only where the operator allows it by "
            "its hash: docs/models.md, 'Code from a folder'",
            field="model",
        )
    named = _named(code.folder, auto)
    if named is None:
        return None
    module, _, name = named.partition(".")
    found = getattr(_imported(code, module), name, None)
    if found is None:
        raise InvalidInput(f"{module}.py of {code.folder} has no class {name}, which auto_map names", field="model")
    return found


def code_digest(files: dict[str, bytes]) -> str:
    """`sha256:` and one digest of code files: their names, lengths and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(files):
        # With lengths, so that no bytes can move from one file to the next under the same digest.
        digest.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    return f"sha256:{digest.hexdigest()}"


def read_code(folder: Path) -> dict[str, bytes]:
    """Name → bytes of the `*.py` files of a folder, links not followed out of it. Raises InvalidInput."""
    files = {}
    for path in sorted(folder.glob("*.py")):
        # A hub's cache keeps files as links to its blobs; any other link would bring in code that nobody looked at.
        # `is_file` first: it says no to links in a circle, on which `resolve` raises, and to pipes.
        inside = path.is_file() and path.resolve().is_relative_to(_root(folder))
        if not inside or path.stat().st_size > MAX_BYTES:
            raise InvalidInput(
                f"{path.name} of {folder} is a link out of it, no file, or too large for code", field="model"
            )
        files[path.name] = path.read_bytes()
    if not files:
        raise InvalidInput(f"{folder} holds no code: no *.py file", field="model")
    return files


def _root(folder: Path) -> Path:
    """What a link may lead to: the folder, or in a hub's cache the model that the snapshot is of."""
    root = folder.resolve()
    return root.parent.parent if root.parent.name == "snapshots" else root


def _named(folder: Path, auto: str) -> str | None:
    """`module.Class` of an `auto_map`. Raises InvalidInput for one that leads to another repository."""
    for name in NAMING_FILES:
        if not (folder / name).is_file():
            continue
        found = json.loads((folder / name).read_text()).get("auto_map", {}).get(auto)
        # A tokenizer has a slow class and a fast one.
        named = next(filter(None, reversed(found)), None) if isinstance(found, list) else found
        if named is not None:
            parts = named.split(".") if isinstance(named, str) else []
            if len(parts) != 2 or not all(part.isidentifier() for part in parts):
                raise InvalidInput(
                    f"auto_map in {name} of {folder} names {named!r}: code must lie there", field="model"
                )
            return str(named)
    return None


def _imported(code: TrustedCode, module: str) -> ModuleType:
    files = read_code(code.folder)
    found = code_digest(files)
    if found != code.digest:
        raise Forbidden(
            f"the code in {code.folder} has the digest {found}, and {code.digest} is allowed: look at what changed, "
            "then allow the new one",
            field="model",
        )
    if f"{module}.py" not in files:
        raise InvalidInput(f"{code.folder} has no {module}.py, which auto_map names", field="model")
    # Named after its digest: code that changed is another package, and never meets modules of the one before.
    package = f"{PACKAGE}{code.digest.removeprefix('sha256:')}"
    if package not in sys.modules:
        sys.meta_path.append(_Finder(package, files))
    return importlib.import_module(f"{package}.{module}")


class _Finder(MetaPathFinder):
    """Finds one package and its modules in memory."""

    def __init__(self, package: str, files: dict[str, bytes]) -> None:
        self._package = package
        self._files = {f"{package}.{name.removesuffix('.py')}": data for name, data in files.items()}

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname == self._package:
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = []
            return spec
        data = self._files.get(fullname)
        return None if data is None else spec_from_loader(fullname, _Loader(fullname, data))


class _Loader(SourceLoader):
    def __init__(self, name: str, data: bytes) -> None:
        self._name, self._data = name, data

    def get_filename(self, fullname: str) -> str:
        # No path, so that neither import system nor traceback looks for the source on the disk.
        return f"<{self._name}>"

    def get_data(self, path: str | bytes) -> bytes:
        return self._data


def main(arguments: Sequence[str]) -> None:
    """Print the entry that allows a folder's code. Raises SystemExit with how to call it."""
    if len(arguments) != 1 or not (Path(arguments[0]) / "config.json").is_file():
        raise SystemExit("usage: python -m mstar_models.remote_code FOLDER, with a folder that holds config.json")
    folder = Path(arguments[0]).absolute()
    model_type = json.loads((folder / "config.json").read_text())["model_type"]
    print(f"{model_type}={folder}@{code_digest(read_code(folder))}")


if __name__ == "__main__":
    main(sys.argv[1:])
