"""Which files of a user's model folder belong to the model, and whether its weights are whole. Needs no torch.

Everything else in the folder stays where it is: hidden files, keys, code and weights that the index does not name.
"""

import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from math import prod
from pathlib import Path
from typing import Any

from mstar.documents import parse_json
from mstar.errors import InvalidInput
from mstar.image_scaling import MIDDLING, View
from mstar.model_files import is_model_file, source_name
from mstar.model_shape import ModelShape, Weights, count_weights, shape_of
from mstar.prm_schemes import DECLARATION

KINDS = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
    "tekken.json", "vocab.json", "vocab.txt", "merges.txt", "special_tokens_map.json", "added_tokens.json",
    "spiece.model", "sentencepiece.bpe.model", "preprocessor_config.json", "processor_config.json",
    "image_processor_config.json", "video_preprocessor_config.json", "chat_template.json", "chat_template.jinja",
    DECLARATION, "README.md", "LICENSE*", "NOTICE*",
)  # fmt: skip
"""Names of what a model needs besides its weights: of a user's JSON and text files, the others may hold anything."""
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
MAX_JSON_BYTES = 64_000_000
"""A tokenizer of a large vocabulary has some ten million bytes."""
MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors library."""
_PACKED = frozenset(
    ("U8", "I8", "I16", "U16", "I32", "U32", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2")
)
"""Types of matrices that hold several numbers in one, or need a scale beside them."""
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def model_files(folder: Path) -> list[Path]:
    """Files to take along, by name. Raises InvalidInput for missing weights, or a link that leads out of the folder."""
    there = (path.name for path in folder.iterdir() if is_model_file(path.name))
    names = {name for name in there if any(fnmatchcase(name, kind) for kind in KINDS)}
    # Weights by the index alone: a folder may hold the same model a second time, in shards of another size.
    names |= set(weight_files(folder))
    if (folder / INDEX).exists():
        names.add(INDEX)
    return [_inside(folder, name) for name in sorted(names) if (folder / name).is_file()]


def weight_files(folder: Path) -> dict[str, set[str] | None]:
    """Files of weights, each with the tensors that the index says it has; None: there is no index.

    Raises InvalidInput.
    """
    if not (folder / INDEX).exists():
        if not (folder / SINGLE).is_file():
            raise _refused(folder, _without_weights(folder))
        return {SINGLE: None}
    listed = read_json(folder, INDEX).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise _refused(folder, f"has no weight_map in {INDEX}")
    found: dict[str, set[str] | None] = {}
    for tensor, name in listed.items():
        # The index is the user's: `../other/secret.safetensors` in it would be copied into an artefact.
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise _refused(folder, f"names {str(name)[:64]!r} in {INDEX}, which is not a *.safetensors file beside it")
        tensors = found.setdefault(name, set())
        assert tensors is not None
        tensors.add(tensor)
    return found


def _without_weights(folder: Path) -> str:
    """What is wrong with a folder that has neither an index nor one file of weights."""
    others = sorted(path.name[:64] for path in folder.glob("*.safetensors"))
    if "adapter_model.safetensors" in others:
        return "is an adapter, not a model: merge it into its base model, and name the merged folder"
    if others:
        return f"holds {others[0]!r} and no {INDEX}, which says what is in it: add it from the same download"
    return f"holds no safetensors: neither {SINGLE} nor {INDEX}; convert it first"


def check_weights(folder: Path) -> int:
    """Bytes of all weights, once every header is whole and the index agrees with it. Raises InvalidInput."""
    total = 0
    for name, listed in weight_files(folder).items():
        path = _inside(folder, name)
        if not path.is_file():
            other = f"; if {SINGLE} is the whole model, remove that index" if (folder / SINGLE).is_file() else ""
            raise _refused(folder, f"lacks {name}, which {INDEX} lists{other}")
        try:
            tensors = {tensor for tensor, _, _ in _header(path)}
        except ValueError as error:
            raise _refused(folder, f"has a damaged {name}: {error}") from None
        # Headers are read and no tensor: a cut-off download is found without reading gigabytes.
        missing = sorted((listed or set()) - tensors)
        if missing:
            raise _refused(folder, f"lacks tensor {missing[0][:100]!r} in {name}, where {INDEX} puts it")
        total += path.stat().st_size
    return total


def tensor_names(folder: Path) -> set[str]:
    """Names of all tensors. Raises InvalidInput for weights that are not whole."""
    check_weights(folder)
    return {name for file in weight_files(folder) for name, _, _ in _header(_inside(folder, file))}


def packed_tensor(folder: Path) -> str | None:
    """Name and type of a weight in fewer bits than a model computes with; None: all are whole.

    Read as if they were whole, such weights give numbers, and wrong ones. Raises InvalidInput.
    """
    for file in sorted(weight_files(folder)):
        for name, kind, shape in _header(_inside(folder, file)):
            # Counters and masks are integers in plain models as well, and they are no matrices.
            if kind in _PACKED and len(shape) > 1:
                return f"{name[:100]} of type {kind} in {file}"
    return None


def read_weights(folder: Path) -> Weights:
    """How many weights each part of the model has. Raises InvalidInput."""
    names = weight_files(folder)
    try:
        tensors = [(tensor, shape) for name in names for tensor, _, shape in _header(_inside(folder, name))]
    except (OSError, ValueError) as error:
        raise _refused(folder, f"has damaged weights: {error}") from None
    return count_weights(tensors, sum((folder / name).stat().st_size for name in names))


def read_shape(folder: Path, view: View = MIDDLING) -> ModelShape:
    """The sizes that memory and work follow from, with the tokens of a picture as bounded. Raises InvalidInput."""
    config = read_json(folder, "config.json")
    try:
        return shape_of(source_name(str(folder)), config, read_weights(folder), _image_settings(folder), view)
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise _refused(folder, f"has no sizes of a language model in config.json: {error}") from None


def _image_settings(folder: Path) -> Mapping[str, Any]:
    """What the folder says of its image processor, where the loader looks for it. Raises InvalidInput."""
    for name in ("processor_config.json", "preprocessor_config.json"):
        settings = read_json(folder, name) if (folder / name).is_file() else {}
        found = settings.get("image_processor") or (settings if name.startswith("pre") else None)
        if isinstance(found, Mapping):
            return found
    return {}


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object of the folder. Raises InvalidInput."""
    path = _inside(folder, name)
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise _refused(folder, f"has a {name} of more than {MAX_JSON_BYTES} bytes")
        # Python reads other encodings and a byte-order mark as well; the libraries that load the model do not.
        found = parse_json(path.read_bytes().decode())
    except UnicodeDecodeError:
        raise _refused(folder, f"has a {name} that is not UTF-8: save it as UTF-8 without a byte-order mark") from None
    except OSError as error:
        raise _refused(folder, f"has no readable {name}: {error.strerror}") from None
    except ValueError as error:
        # "Unexpected UTF-8 BOM (decode using utf-8-sig)" is for programmers.
        said = "it begins with a byte-order mark: save it without" if "BOM" in str(error) else str(error)[:100]
        raise _refused(folder, f"has a {name} that is not valid JSON: {said}") from None
    if not isinstance(found, dict):
        raise _refused(folder, f"has a {name} that is not a JSON object")
    return found


def _header(path: Path) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Names, types and shapes of the tensors of a safetensors file. Raises ValueError for one that is not whole.

    The format: 8 bytes with the header's length, the header as JSON, the tensors one after the other without gaps.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        # Eight bytes of length, and `{}`. Checked before reading, since the length is only what the file says.
        if size < 10 or length > min(size - 8, MAX_HEADER_BYTES):
            raise ValueError("it is cut off, or no safetensors file")
        header = parse_json(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is not an object")
    header.pop("__metadata__", None)
    if not header:
        raise ValueError("it holds no tensor")
    place = 0
    for name, (begin, end) in sorted(((n, _span(n, t)) for n, t in header.items()), key=lambda one: one[1]):
        # Gaps and overlaps are refused as the safetensors library does: bytes there belong to no tensor, or to two.
        if begin != place:
            raise ValueError(f"tensor {name[:100]!r} does not begin where the one before ends")
        place = end
        yield name, header[name]["dtype"], tuple(header[name]["shape"])
    if place != size - 8 - length:
        raise ValueError(f"it has {size - 8 - length} bytes of tensors, and its header describes {place}")


def _span(name: str, tensor: Any) -> tuple[int, int]:
    """First byte of a tensor and the one after its last. Raises ValueError."""
    wrong = ValueError(f"the description of tensor {name[:100]!r} is not one")
    if not isinstance(tensor, Mapping):
        raise wrong
    shape, offsets, bits = tensor.get("shape"), tensor.get("data_offsets"), _BITS.get(str(tensor.get("dtype")))
    for numbers in (shape, offsets):
        # `type` and not isinstance: true and false are integers to Python. The bound keeps their product computable.
        if not isinstance(numbers, list) or any(type(n) is not int or not 0 <= n < 2**60 for n in numbers):
            raise wrong
    assert isinstance(shape, list) and isinstance(offsets, list)
    if len(offsets) != 2 or bits is None or len(shape) > 16:
        raise wrong
    if 8 * (offsets[1] - offsets[0]) != bits * prod(shape):
        raise ValueError(f"tensor {name[:100]!r} has a shape that its bytes do not fill")
    return offsets[0], offsets[1]


def _inside(folder: Path, name: str) -> Path:
    """The real file behind a name. A link may lead below the folder, or from a hub's snapshot to its blobs."""
    root = folder.resolve()
    # Files of a hub's snapshot are links to ../../blobs, so its root is the model's folder in the cache.
    if root.parent.name == "snapshots":
        root = root.parent.parent
    try:
        path = (folder / name).resolve()
    # Links in a circle are a RuntimeError before Python 3.13.
    except (OSError, RuntimeError):
        raise _refused(folder, f"has a link {name} that leads to no file: copy the file there") from None
    if not path.is_relative_to(root):
        raise _refused(folder, f"has a link {name} that leads out of it: copy the file there")
    return folder / name


def _refused(folder: Path, problem: str) -> InvalidInput:
    # A snapshot of the hub's cache is a folder that is called after a commit, which tells nobody which model it is.
    return InvalidInput(f"model.base {source_name(str(folder))[:64]!r} {problem}", field="model.base")
