"""Checks a user's model folder before a run is started on it: configuration, tokenizer, processor, template, weights.

Needs no torch. What this leaves out, and the model services find when they load it: whether the architecture is one
that they know, and whether the tensors are those that it needs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mstar.errors import InvalidInput
from mstar_coordinator.model_folder import check_weights, model_files, read_json

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json", "spiece.model")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_SECTIONS = ("text_config", "llm_config", "vision_config", "rope_parameters", "rope_scaling")
_COUNTS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
    "vocab_size", "max_position_embeddings", "image_size", "patch_size",
)  # fmt: skip
_TEXTS = ("model_type", "dtype", "torch_dtype", "hidden_act")


def check_model(folder: Path) -> int:
    """Bytes of the weights. Raises InvalidInput for a folder that is not a whole model."""
    if not (folder / "config.json").is_file():
        raise _refused(folder, "has no config.json")
    config = read_json(folder, "config.json")
    for problem in _wrong_types(config, "config.json"):
        raise _refused(folder, problem)
    if not config.get("model_type"):
        raise _refused(folder, "has no model_type in config.json")
    _check_parts(folder)
    model_files(folder)
    return check_weights(folder)


def _check_parts(folder: Path) -> None:
    for names, what in ((TOKENIZERS, "tokenizer"), (PROCESSORS, "image processor")):
        if not any((folder / name).is_file() for name in names):
            raise _refused(folder, f"has no {what}: add one of {', '.join(names)}")
    found = {name: read_json(folder, name) for name in _jsons(folder)}
    templates = (folder / "chat_template.jinja").is_file()
    if not templates and not any(parts.get("chat_template") for parts in found.values()):
        raise _refused(folder, "has no chat template: add chat_template.jinja, as instruction-tuned models have it")


def _jsons(folder: Path) -> Iterator[str]:
    names = (*PROCESSORS, "tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.json")
    return (name for name in names if (folder / name).is_file())


def _wrong_types(config: Mapping[str, Any], where: str) -> Iterator[str]:
    """Settings that every architecture reads and whose value has another type, which would end in a stack trace."""
    for name in _SECTIONS:
        part = config.get(name)
        if part is not None and not isinstance(part, Mapping):
            yield f"has {name} in {where}, which must be an object"
        elif part is not None:
            yield from _wrong_types(part, f"{where} {name}")
    for name in _COUNTS:
        value = config.get(name)
        numbers = value if isinstance(value, list) else [value]
        if value is not None and any(type(number) is not int or number < 1 for number in numbers):
            yield f"has {name} in {where}, which must be a whole number above 0"
    for name in _TEXTS:
        if config.get(name) is not None and not isinstance(config[name], str):
            yield f"has {name} in {where}, which must be a text"


def _refused(folder: Path, problem: str) -> InvalidInput:
    return InvalidInput(f"model.base {folder.name[:64]!r} {problem}", field="model.base")
