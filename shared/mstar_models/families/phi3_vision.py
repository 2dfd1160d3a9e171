"""Phi-3.5-vision, one of the paper's models: its code lies in its folder (arXiv 2404.14219).

In the token ids, image k of a prompt is a row of -k, one for each of its tokens; the embedding puts the image there.
"""

from collections.abc import Mapping
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPast

from mstar_models.families.declaration import Family
from mstar_models.families.remote import RemoteCode


def _trunk(model: Any, *, input_ids: torch.Tensor, **inputs: Any) -> BaseModelOutputWithPast:
    """`pixel_values` [images, crops, 3, height, width] and `image_sizes` [images, 2], where there are images."""
    # Its embedding replaces the negative ids in place.
    found: BaseModelOutputWithPast = model.model(input_ids=input_ids.clone(), **inputs)
    return found


def _pixels(values: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {name: torch.as_tensor(values[name]) for name in ("pixel_values", "image_sizes")}


FAMILY = Family(
    name="Phi-3.5-vision",
    model_types=("phi3_v",),
    tower_by_image=False,
    remote=RemoteCode(
        trunk=_trunk,
        tower=lambda model: model.model.vision_embed_tokens.img_processor,
        decoder=lambda model: model.model,
        image_mark=lambda number: f"<|image_{number}|>\n",
        pixels=_pixels,
    ),
)
