"""Which files of a user's model folder belong to the model, and whether its weights are whole. Needs no torch.

Everything else in the folder stays where it is: hidden files, keys, code and weights that the index does not name.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mstar.documents import parse_json
from mstar.errors import InvalidInput
from mstar.image_scaling import MIDDLING, PlannedImage
from mstar.model_files import is_model_file, source_name
from mstar.model_shape import ModelShape, WeightCounts, count_weights, shape_of
from mstar.prm_schemes import DECLARATION
from mstar.safetensors_header import Tensor, tensors_of

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
_PACKED = frozenset(
    ("U8", "I8", "I16", "U16", "I32", "U32", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2")
)
"""Types of matrices that hold several numbers in one, or need a scale beside them."""
POINTER = "it is a pointer of Git LFS: fetch the files with `git lfs pull`"
_POINTS = b"version https://git-lfs"
_HEAD, _EMBEDDINGS = "lm_head.weight", "embed_tokens.weight"
_PIECES, _PIECE_BYTES = 16, 65_536


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
    if lost := lost_link(folder):
        return lost
    others = sorted(path.name[:64] for path in folder.glob("*.safetensors"))
    if "adapter_model.safetensors" in others:
        return "is an adapter, not a model: merge it into its base model, and name the merged folder"
    if others:
        return f"holds {others[0]!r} and no {INDEX}, which says what is in it: add it from the same download"
    return f"holds no safetensors: neither {SINGLE} nor {INDEX}; convert it first"


def lost_link(folder: Path) -> str | None:
    """What is wrong with a folder that has a link to a file that is gone, as a cache that was tidied up leaves it."""
    lost = (path for path in folder.iterdir() if is_model_file(path.name) and path.is_symlink())
    name = min((path.name for path in lost if not path.exists()), default=None)
    return None if name is None else f"has a link {name[:64]} that leads to no file: download the model again"


def check_weights(folder: Path) -> int:
    """Bytes of all weights, once every header is whole and the index agrees with it. Raises InvalidInput."""
    total = 0
    for name, listed in weight_files(folder).items():
        path = _inside(folder, name)
        if not path.is_file():
            other = f"; if {SINGLE} is the whole model, remove that index" if (folder / SINGLE).is_file() else ""
            raise _refused(folder, f"lacks {name}, which {INDEX} lists{other}")
        try:
            tensors = {tensor.name for tensor in tensors_of(path)}
        except ValueError as error:
            said = POINTER if _is_pointer(path) else str(error)
            raise _refused(folder, f"has a damaged {name}: {said}") from None
        # Headers are read and no tensor: a cut-off download is found without reading gigabytes.
        missing = sorted((listed or set()) - tensors)
        if missing:
            raise _refused(folder, f"lacks tensor {missing[0][:100]!r} in {name}, where {INDEX} puts it")
        total += path.stat().st_size
    if (folder / INDEX).exists() and not isinstance(read_json(folder, INDEX).get("metadata"), dict):
        raise _refused(folder, f'has no metadata in {INDEX}, which transformers reads: add "metadata": {{}}')
    return total


def tensor_names(folder: Path) -> set[str]:
    """Names of all tensors. Raises InvalidInput for weights that are not whole."""
    check_weights(folder)
    return {tensor.name for file in weight_files(folder) for tensor in tensors_of(_inside(folder, file))}


def packed_tensor(folder: Path) -> str | None:
    """Name and type of a weight in fewer bits than a model computes with; None: all are whole.

    Read as if they were whole, such weights give numbers, and wrong ones. Raises InvalidInput.
    """
    for file in sorted(weight_files(folder)):
        for tensor in tensors_of(_inside(folder, file)):
            # Counters and masks are integers in plain models as well, and they are no matrices.
            if tensor.kind in _PACKED and len(tensor.shape) > 1:
                return f"{tensor.name[:100]} of type {tensor.kind} in {file}"
    return None


def separate_head(folder: Path) -> str | None:
    """Name of an output head whose weights are not those of the token embeddings; None: equal ones, or none there.

    A part of both is read, since any training moves all of them. Raises InvalidInput.
    """
    there = [(_inside(folder, file), tensor) for file in weight_files(folder) for tensor in tensors_of(folder / file)]
    heads = [one for one in there if one[1].name.endswith(_HEAD)]
    embeddings = [one for one in there if one[1].name.endswith(_EMBEDDINGS)]
    for path, head in heads:
        alike = [one for one in embeddings if (one[1].kind, one[1].shape) == (head.kind, head.shape)]
        if alike and all(_sample(*one) != _sample(path, head) for one in alike):
            return head.name
    return None


def _sample(path: Path, tensor: Tensor) -> list[bytes]:
    """Pieces from all over a tensor."""
    with open(path, "rb") as file:
        pieces = []
        for part in range(_PIECES):
            file.seek(tensor.begin + part * (tensor.end - tensor.begin) // _PIECES)
            pieces.append(file.read(min(_PIECE_BYTES, tensor.end - file.tell())))
    return pieces


def read_weights(folder: Path) -> WeightCounts:
    """How many weights each part of the model has. Raises InvalidInput."""
    names = weight_files(folder)
    try:
        tensors = [(tensor.name, tensor.shape) for name in names for tensor in tensors_of(_inside(folder, name))]
    except (OSError, ValueError) as error:
        raise _refused(folder, f"has damaged weights: {error}") from None
    return count_weights(tensors, sum((folder / name).stat().st_size for name in names))


def read_shape(folder: Path, view: PlannedImage = MIDDLING) -> ModelShape:
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
        said = POINTER if _is_pointer(path) else said
        raise _refused(folder, f"has a {name} that is not valid JSON: {said}") from None
    if not isinstance(found, dict):
        raise _refused(folder, f"has a {name} that is not a JSON object")
    return found


def _is_pointer(path: Path) -> bool:
    """Whether a file is what git leaves of a large one where Git LFS did not fetch it."""
    with open(path, "rb") as file:
        return file.read(len(_POINTS)) == _POINTS


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
