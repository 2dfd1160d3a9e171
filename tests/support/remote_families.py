"""Small folders of families whose code lies beside their weights; the code is in `remote_models`.

The same calls as their authors' code, over layers that a test can afford: no line of it is theirs.
"""

import importlib.util
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from family_folders import Family, write_tokenizer

CODE = Path(__file__).parent / "remote_models"
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}


@dataclass(frozen=True)
class RemoteFamily:
    """One family: the names of its classes, and its special tokens."""

    name: str
    config: str
    model: str
    auto: str
    processor: str
    images: str
    specials: tuple[str, ...]


REMOTE_FAMILIES = (
    RemoteFamily(
        "minicpmv",
        "configuration_minicpm.MiniCPMVConfig",
        "modeling_minicpmv.MiniCPMV",
        "AutoModel",
        "processing_minicpmv.MiniCPMVProcessor",
        "image_processing_minicpmv.MiniCPMVImageProcessor",
        ("<image>", "</image>", "<slice>", "</slice>"),
    ),
    RemoteFamily(
        "phi3_v",
        "configuration_phi3_v.Phi3VConfig",
        "modeling_phi3_v.Phi3VForCausalLM",
        "AutoModelForCausalLM",
        "processing_phi3_v.Phi3VProcessor",
        "image_processing_phi3_v.Phi3VImageProcessor",
        ("<|user|>", "<|assistant|>"),
    ),
)
TEMPLATE = (
    "{% for message in messages %}{{ '[' + message['role'] + ']\\n' + message['content'] + '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]\\n' }}{% endif %}"
)


def write_remote_folder(family: RemoteFamily, folder: Path) -> Path:
    """A folder with code, random weights and all that belongs to them."""
    shutil.copytree(CODE / family.name, folder)
    as_native = Family(family.name, family.name, lambda ids: {}, {}, family.specials, "", end="<|end|>",
                       tokenizer="PreTrainedTokenizerFast", template_file="")  # fmt: skip
    size, ends = write_tokenizer(as_native, folder)
    config = class_of(folder, family.config)(
        **SIZES, vocab_size=size, bos_token_id=ends, eos_token_id=ends, pad_token_id=0
    )
    torch.manual_seed(0)
    model = class_of(folder, family.model)(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3 if weight.dim() > 1 else 1)
    model.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    written = json.loads((folder / "config.json").read_text())
    written["auto_map"] = {"AutoConfig": family.config, family.auto: family.model}
    (folder / "config.json").write_text(json.dumps(written))
    processors = {"AutoProcessor": family.processor, "AutoImageProcessor": family.images}
    (folder / "preprocessor_config.json").write_text(json.dumps({"auto_map": processors}))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    (folder / "prm_scheme.json").write_text(json.dumps({"scheme": "label-tokens", "good": "+", "bad": "-"}))
    return folder


def class_of(folder: Path, named: str) -> Any:
    """A class of the folder's code, imported from the disk as its authors would."""
    module, name = named.split(".")
    package = f"as_written_{folder.name}_{abs(hash(folder))}"
    if package not in sys.modules:
        spec = importlib.util.spec_from_loader(package, None, is_package=True)
        assert spec is not None
        made = importlib.util.module_from_spec(spec)
        made.__path__ = [str(folder)]
        sys.modules[package] = made
    return getattr(importlib.import_module(f"{package}.{module}"), name)
