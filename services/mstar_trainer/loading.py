"""Loads the model that a training works on: in its type, divided among the ranks at once, or in 4 bits.

With ZeRO-3 no rank ever has the whole model: each weight is read from the mapped file, shared out and dropped before
the next one. What this leaves out: which folder it is (`training_loop`), and adapters (`adapters`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import BitsAndBytesConfig
from transformers.integrations.deepspeed import HfDeepSpeedConfig, unset_hf_deepspeed_config

from mstar.errors import InvalidInput
from mstar.train_recipe import TrainRecipe
from mstar_models.loading import device_here, load_model
from mstar_trainer.deepspeed_engine import dtype_of, engine_config


def load_for_training(folder: Path, settings: TrainRecipe) -> Any:
    """The model of a folder, ready for DeepSpeed. All ranks must call it together with ZeRO-3.

    Raises InvalidInput for a folder that cannot be loaded, and for 4 bits where bitsandbytes is missing.
    """
    dtype = dtype_of(settings)
    if settings.lora and settings.lora.quantize:
        model = load_model(folder, dtype, options=_four_bit(dtype))
        # Checkpoints hold whole numbers, so their configuration must not say otherwise.
        del model.config.quantization_config
        return model
    with _partitioned(settings):
        return load_model(folder, dtype)


@contextmanager
def _partitioned(settings: TrainRecipe) -> Iterator[None]:
    """While entered, transformers makes models in parts if the stage says so: it looks for a living configuration."""
    if settings.zero_stage < 3:
        yield
        return
    living = HfDeepSpeedConfig(engine_config(settings))
    try:
        yield
    finally:
        unset_hf_deepspeed_config()
        del living


def _four_bit(dtype: torch.dtype) -> dict[str, Any]:
    """NF4 as in QLoRA (arXiv 2305.14314), computed in `dtype`; on the device, since only there it is packed."""
    if find_spec("bitsandbytes") is None:
        raise InvalidInput(
            "train.lora.quantize needs bitsandbytes, which is not installed beside the trainer: pip install "
            "bitsandbytes, or set it to false",
            field="train.lora.quantize",
        )
    four_bit = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    return {"quantization_config": four_bit, "device_map": {"": device_here()}}
