"""Processor and model from a local folder: safetensors only, no hub, no code but what the operator allowed.

What this leaves out: moving a model to its device, which is for who runs it.
"""

import gc
import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from mstar.errors import InvalidInput, MstarError, Unavailable
from mstar.host_memory import is_exhausted, no_memory
from mstar.writing import refused
from mstar_models.chat import Turn, build_messages
from mstar_models.error_text import sentence_of
from mstar_models.processors import assemble_processor
from mstar_models.remote_loading import (
    family_with_code,
    give_generation_settings,
    remote_model_class,
    remote_processor,
)
from mstar_models.special_tokens import end_of_turn, mark_placeholders

HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""Types of half the size that models are served in, by their names in configurations."""
MASKED = "sdpa"
"""An implementation of attention that takes any mask and is always there."""
_LAYER = re.compile(r"(.*?\.)\d+\.")
"""The list of layers that a weight is in, with the dot after it."""
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json", "spiece.model")
IMAGE_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
OBJECTS = ("generation_config.json", "tokenizer.json", "tokenizer_config.json", *IMAGE_PROCESSORS)


def load_processor(folder: Path) -> Any:
    """Tokenizer, image processor and chat template. Raises InvalidInput, which says what is missing and what to do."""
    require_files(folder)
    with translated(folder):
        remote = family_with_code(folder)
        processor = assemble_processor(folder) if remote is None else remote_processor(folder, *remote)
        _check_template(folder, processor)
        mark_placeholders(processor)
        # A response that nothing can end would only show in training.
        end_of_turn(processor)
    return processor


def device_here() -> torch.device:
    """Where models run on this machine."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dtype_for(device: torch.device, folder: Path) -> torch.dtype:
    """What weights are loaded as unless told otherwise.

    On a CPU float32, which is the faster and the finer one there; elsewhere what the folder's configuration says, since
    twice its size may not fit.
    """
    if device.type == "cpu":
        return torch.float32
    config = json.loads((folder / "config.json").read_text())
    named = (part.get(key) for part in (config, config.get("text_config", {})) for key in ("dtype", "torch_dtype"))
    return HALVES.get(next(filter(None, named), ""), torch.float32)


def load_model(
    folder: Path,
    dtype: torch.dtype | None = None,
    kind: Any = AutoModelForImageTextToText,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """The model, in evaluation mode and on the CPU; `dtype` unset is that of `dtype_for` this machine.

    `kind`: transformers' class that says which parts it has; `AutoModel` is a trunk without a head. `options`: further
    ones of `from_pretrained`. Raises InvalidInput for a folder whose safetensors do not give it whole.
    """
    settings = read_object(folder, "config.json")
    if not any(folder.glob("*.safetensors")):
        raise InvalidInput(f"model folder {folder.name} holds no safetensors file", field="model")
    # transformers would load the base that an adapter names, wherever that lies, instead of what is here.
    if (folder / "adapter_config.json").exists():
        raise InvalidInput(
            f"model folder {folder.name} holds an adapter_config.json beside the model: merge the adapter into the "
            "weights, and remove that file",
            field="model",
        )
    own: dict[str, Any] = {"trust_remote_code": False}
    with translated(folder):
        if (remote := family_with_code(folder)) is not None:
            kind, own["config"] = remote_model_class(folder, remote[0], remote[2])
        elif _names_kernel(settings):
            own["config"] = AutoConfig.from_pretrained(folder, local_files_only=True, **own)
            own["config"]._attn_implementation = MASKED
        model, report = kind.from_pretrained(
            folder,
            **own,
            dtype=dtype_for(device_here(), folder) if dtype is None else dtype,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            # Refused below, with names and shapes.
            ignore_mismatched_sizes=True,
            **options,
        )
        if remote is not None:
            give_generation_settings(model, folder)
    _require_whole(folder, report, model.state_dict().keys())
    return model.eval()


def _names_kernel(settings: Mapping[str, Any]) -> bool:
    """Whether config.json asks for a kernel of the machine on which it was saved.

    It may be missing here, and kernels take no mask, which trees of responses need.
    """
    parts = [settings, *(part for part in settings.values() if isinstance(part, dict))]
    asked = (part.get(name) for part in parts for name in ("attn_implementation", "_attn_implementation"))
    return any(kernel not in (None, "eager", MASKED) for kernel in asked)


def _require_whole(folder: Path, report: Mapping[str, Any], own: Collection[str]) -> None:
    """Raises InvalidInput for weights that transformers would fill with random numbers or leave out, and only log it.

    `own`: names of the weights that the model has. Heads of other uses, which are left out as well, are not layers; and
    layers that a family is known to leave out, such as those that guess several tokens at once, are not in the report.
    """
    remedy = "take config.json and all weight files from one download or one save of the model"
    for name, there, wanted in sorted(report["mismatched_keys"])[:1]:
        raise InvalidInput(
            f"model folder {folder.name} has weight {name} of shape {list(there)}, where config.json asks for "
            f"{list(wanted)}: {remedy}",
            field="model",
        )
    if report["missing_keys"]:
        raise InvalidInput(
            f"model folder {folder.name} lacks weight {min(report['missing_keys'])}, which config.json asks for: "
            f"{remedy}",
            field="model",
        )
    for name in sorted(report["unexpected_keys"]):
        if (layer := _LAYER.match(name)) is not None and any(one.startswith(f"{layer[1]}0.") for one in own):
            raise InvalidInput(
                f"model folder {folder.name} has weight {name} of a layer that config.json does not ask for "
                f"(num_hidden_layers): {remedy}",
                field="model",
            )


def free_memory() -> None:
    """Give back what no object holds any more: a model is a circle of references, and a device keeps a reserve."""
    # First: the device's allocator gives back only what no tensor holds.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def require_files(folder: Path, *, sees: bool = True) -> None:
    """Raises InvalidInput where tokenizer or image processor are missing, or a file of JSON is none.

    transformers says of these neither which file it is nor what to do. `sees`: the model takes images.
    """
    read_object(folder, "config.json")
    wanted = [("tokenizer", TOKENIZERS), *([("image processor", IMAGE_PROCESSORS)] if sees else [])]
    for what, names in wanted:
        if not any((folder / name).is_file() for name in names):
            raise InvalidInput(f"model folder {folder.name} holds no {what}: add {' or '.join(names)}", field="model")
    for name in OBJECTS:
        if (folder / name).is_file():
            read_object(folder, name)


def read_object(folder: Path, name: str) -> dict[str, Any]:
    """A file of JSON. Raises InvalidInput for one that is missing or holds no object."""
    try:
        found = json.loads((folder / name).read_bytes().decode())
    except (FileNotFoundError, IsADirectoryError):
        raise InvalidInput(f"model folder {folder.name} holds no {name}", field="model") from None
    except ValueError as error:
        # Of bytes that are not UTF-8 the place says nothing to anybody.
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:100]
        detail = f"model folder {folder.name} has a {name} that is not valid JSON: {why}"
        raise InvalidInput(detail, field="model") from None
    if not isinstance(found, dict):
        raise InvalidInput(f"model folder {folder.name} has a {name} that is not a JSON object", field="model")
    return found


def _check_template(folder: Path, processor: Any) -> None:
    """Raises InvalidInput where no prompt with an image could be made."""
    if processor.chat_template is None:
        raise InvalidInput(
            f"model folder {folder.name} has no chat template: add chat_template.jinja, as instruction-tuned models "
            "have it",
            field="model",
        )
    both, words = (build_messages([Turn("user", parts)]) for parts in ((None, "question"), ("question",)))
    # A template that leaves images out writes the same text with one as without.
    texts = [processor.apply_chat_template(one, add_generation_prompt=True) for one in (both, words)]
    if texts[0] == texts[1]:
        raise InvalidInput(
            f"the chat template of model folder {folder.name} leaves the image out of the prompt: write the image "
            "token for parts of type 'image' in chat_template.jinja",
            field="model",
        )


@contextmanager
def translated(folder: Path, problem: str = "cannot be loaded") -> Iterator[None]:
    """Turn what transformers raises for a folder into one sentence, which says what it is about.

    transformers raises nearly anything for a file that is damaged or has values of the wrong type, so all is caught.
    Raises InvalidInput, and Unavailable where the machine lacks memory or files: the folder is not to blame for that.
    """
    try:
        yield
    except MstarError:
        raise
    except ImportError as error:
        raise InvalidInput(
            f"model folder {folder.name} needs a package that is not installed here: {sentence_of(error)}",
            field="model",
        ) from error
    except Exception as error:
        if (lack := _lack(error)) is not None:
            raise lack from error
        # The path is the server's own, and the name says which folder it is.
        said = (_unknown(folder, error) or sentence_of(error)).replace(str(folder), folder.name)
        raise InvalidInput(f"model folder {folder.name} {problem}: {said}", field="model") from error


def _lack(error: BaseException | None) -> MstarError | None:
    """What the machine lacked, where an error or what has caused it says so."""
    while error is not None:
        if is_exhausted(error):
            return no_memory(error)
        # Not every library has the system's errors as such, but all have their text.
        known = error if isinstance(error, OSError) else OSError(str(error))
        if isinstance(lack := refused(known), Unavailable):
            return lack
        error = error.__cause__ or error.__context__
    return None


def _unknown(folder: Path, error: Exception) -> str | None:
    """The setting whose value is in no table of transformers, where that is what a KeyError is about."""
    value = error.args[0] if isinstance(error, KeyError) and error.args else None
    if not isinstance(value, str):
        return None
    try:
        parts = [json.loads((folder / "config.json").read_text())]
    except (OSError, ValueError):
        return None
    while parts:
        part = parts.pop()
        for name, there in part.items():
            if there == value:
                return f"{name} in config.json is {value[:64]!r}, which transformers does not know"
        parts += [one for one in part.values() if isinstance(one, dict)]
    return None
