"""Model and processor of a family whose code lies in its folder: classes from the allowed code, files from any folder.

A checkpoint of such a model holds no code. It is loaded with the code of the folder that the operator allowed for its
`model_type`, whatever folder the weights come from.
"""

import json
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast

from mstar.errors import InvalidInput
from mstar_models.families import remote_family
from mstar_models.families.declaration import Family
from mstar_models.families.remote import RemoteCode, RemoteProcessor, adapted
from mstar_models.remote_code import trusted_class

MODEL_CLASSES = ("AutoModelForImageTextToText", "AutoModelForCausalLM", "AutoModel")
"""Where `auto_map` names the class of the model, the most fitting first."""


def family_with_code(folder: Path) -> tuple[str, Family, RemoteCode] | None:
    """Model type, family and its calls, for a folder whose family transformers does not have; None for the others."""
    model_type = json.loads((folder / "config.json").read_text()).get("model_type")
    family = remote_family(model_type)
    return None if family is None or family.remote is None else (str(model_type), family, family.remote)


def read_config(folder: Path) -> Any:
    """The folder's configuration, with its family's class. Raises Forbidden for code that is not allowed."""
    # By `model_type` alone: a folder cannot ask for code that no family of ours knows how to call.
    remote = family_with_code(folder)
    if remote is None:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    kind = _there(trusted_class(remote[0], "AutoConfig"), remote[0], "AutoConfig")
    return kind.from_pretrained(folder, local_files_only=True)


def remote_model_class(folder: Path, model_type: str, code: RemoteCode) -> tuple[Any, Any]:
    """Class and configuration of the folder's model. Raises Forbidden for code that is not allowed."""
    kinds = (trusted_class(model_type, auto) for auto in MODEL_CLASSES)
    kind = _there(next(filter(None, kinds), None), model_type, "AutoModel")
    return adapted(kind, code), read_config(folder)


def give_generation_settings(model: Any, folder: Path) -> None:
    """Set `generation_config` from the folder: a class that does not inherit `generate` has none of its own."""
    if getattr(model, "generation_config", None) is None:
        written = (folder / "generation_config.json").is_file()
        model.generation_config = (
            GenerationConfig.from_pretrained(folder, local_files_only=True)
            if written
            else GenerationConfig.from_model_config(model.config)
        )


def remote_processor(folder: Path, model_type: str, family: Family, code: RemoteCode) -> RemoteProcessor:
    """The folder's processor, behind the calls of transformers' own. Raises Forbidden for code that is not allowed."""
    kind = _there(trusted_class(model_type, "AutoProcessor"), model_type, "AutoProcessor")
    images = _there(trusted_class(model_type, "AutoImageProcessor"), model_type, "AutoImageProcessor")
    plain = PreTrainedTokenizerFast if (folder / "tokenizer.json").is_file() else AutoTokenizer
    tokenizer = (trusted_class(model_type, "AutoTokenizer") or plain).from_pretrained(folder, local_files_only=True)
    image_processor = images.from_pretrained(folder, local_files_only=True)
    # Not by `from_pretrained`, which loads the parts through classes that look for code in the folder.
    inner = kind(image_processor=image_processor, tokenizer=tokenizer)
    written = folder / "chat_template.jinja"
    template = written.read_text() if written.is_file() else tokenizer.chat_template or family.template
    return RemoteProcessor(inner, tokenizer, image_processor, template, family)


def _there(kind: Any, model_type: str, auto: str) -> Any:
    if kind is None:
        raise InvalidInput(
            f"the code that is allowed for models of type {model_type!r} names no {auto} in auto_map of its "
            "config.json or preprocessor_config.json",
            field="model",
        )
    return kind
