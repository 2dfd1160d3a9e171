"""LoRA through peft: adapters inside the model, their files, and the weights that they are merged into.

The model keeps its class and gets adapters in place of single layers, so all that is written for whole models holds. A
checkpoint has the adapters as peft reads them and the merged weights, which every engine can serve. What this leaves
out: which weights lie below the adapters (`training_loop`), and the update (`deepspeed_engine`).
"""

import re
from math import prod
from pathlib import Path
from typing import Any

import peft
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mstar.errors import InvalidInput
from mstar.train_recipe import ALL_LINEAR, LoraRecipe, TrainRecipe
from mstar_trainer.parts import LANGUAGE, PROJECTOR, VISION, parameters_by_part

ADAPTER = "adapter"
"""Folder of a checkpoint that `peft.PeftModel.from_pretrained` reads."""
WEIGHTS = "adapter_model.safetensors"
_NAME = "default"
_SCALES = re.compile(r"\.weight\.(absmax|quant_map|nested_|quant_state)")
_PREFIX = "base_model.model."
"""What peft writes before the name of every weight."""


def attach(model: Any, settings: TrainRecipe) -> None:
    """Put adapters into the parts of the model that are not frozen; from then on they alone have gradients.

    A starts random and B at zero, so the outputs stay as they are. Raises InvalidInput when a target is in no name.
    """
    assert settings.lora is not None
    names = _targets(model, settings)
    peft.inject_adapter_in_model(_config(settings.lora, names), model, _NAME)


def adapter_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters of all adapters by the names that peft gives them in files."""
    return {
        _PREFIX + name.replace(f".{_NAME}.", "."): parameter
        for name, parameter in model.named_parameters()
        if ".lora_" in name
    }


def load_adapters(model: nn.Module, folder: Path) -> None:
    """Read the adapters of the checkpoint in `folder` into a model that has had `attach`."""
    saved = load_file(folder / ADAPTER / WEIGHTS)
    with torch.no_grad():
        for name, parameter in adapter_parameters(model).items():
            parameter.copy_(saved[name])


def save_adapters(folder: Path, tensors: dict[str, Tensor], model: nn.Module, lora: LoraRecipe) -> None:
    """Write adapters [rank, in] and [out, rank] under the names of `adapter_parameters`, with peft's configuration."""
    folder.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS)
    config = _config(lora, sorted(_adapted(model)))
    # peft keeps the names as a set, whose order differs from process to process, and so would the file.
    config.target_modules = sorted(config.target_modules or ())
    config.save_pretrained(str(folder))


def adapted_weights(model: nn.Module) -> dict[str, LoraLayer]:
    """Layers with an adapter, by the name that their weight has in a model without one."""
    return {f"{name}.weight": layer for name, layer in _adapted(model).items()}


def plain_name(name: str) -> str | None:
    """Name of a tensor in a model as published; None for one of an adapter, and for scales of 4-bit weights."""
    # peft moves an adapted weight to `<layer>.base_layer.weight`.
    return None if ".lora_" in name or _SCALES.search(name) else name.replace(".base_layer.", ".")


def unpacked(weight: Tensor) -> Tensor:
    """A weight in 4 bits, [out * in / 2, 1], as the numbers [out, in] that it stands for; others as they are."""
    state = getattr(weight, "quant_state", None)
    if state is None:
        return weight
    from bitsandbytes.functional import dequantize_4bit

    numbers: Tensor = dequantize_4bit(weight.data, state)
    return numbers


def whole_size(tensor: Tensor) -> int:
    """Bytes of a tensor [...] of any shape when it is neither partitioned between ranks nor packed into 4 bits."""
    state = getattr(tensor, "quant_state", None)
    if state is not None:
        kind: torch.dtype = state.dtype
        return int(prod(state.shape)) * kind.itemsize
    count: int = getattr(tensor, "ds_numel", tensor.numel())
    return count * tensor.itemsize


def merged(weight: Tensor, layer: LoraLayer) -> Tensor:
    """The weight [out, in] plus what its adapter adds, reckoned in fp32 and rounded once; nothing is changed."""
    down, up = (matrix.float() for matrix in factors(layer))
    whole: Tensor = weight.float() + layer.scaling[_NAME] * (up @ down)  # [out, in]
    return whole.detach().to(weight.dtype)


def factors(layer: LoraLayer) -> list[nn.Parameter]:
    """A [rank, in] and B [out, rank] of a layer."""
    down: Any = layer.lora_A[_NAME]
    up: Any = layer.lora_B[_NAME]
    return [down.weight, up.weight]


def _adapted(model: nn.Module) -> dict[str, LoraLayer]:
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}


def _targets(model: Any, settings: TrainRecipe) -> list[str]:
    """Whole names of the linear layers that get an adapter."""
    assert settings.lora is not None
    wanted = settings.lora.targets
    frozen = frozenset(part for part in (VISION, PROJECTOR, LANGUAGE) if getattr(settings, f"freeze_{part}"))
    # As with peft's own `all-linear`, the output head gets no adapter.
    head = model.get_output_embeddings()
    untouched = {id(p) for ps in parameters_by_part(model, frozen).values() for p in ps} if frozen else set()
    linear = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head and id(module.weight) not in untouched
    ]
    for target in wanted:
        if target != ALL_LINEAR and not any(_ends(name, target) for name in linear):
            endings = ", ".join(sorted({name.rpartition(".")[2] for name in linear})[:20])
            raise InvalidInput(
                f"train.lora.targets: no linear layer that trains ends in {target!r}; there are {endings}",
                field="train.lora.targets",
            )
    return [name for name in linear if ALL_LINEAR in wanted or any(_ends(name, target) for target in wanted)]


def _ends(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _config(lora: LoraRecipe, names: list[str]) -> peft.LoraConfig:
    # peft divides alpha by the rank and takes any number, though its annotation says int.
    alpha: Any = lora.alpha
    return peft.LoraConfig(r=lora.rank, lora_alpha=alpha, lora_dropout=lora.dropout, target_modules=names)
