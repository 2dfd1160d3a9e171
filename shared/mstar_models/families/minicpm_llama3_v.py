"""MiniCPM-Llama3-V-2.5, one of the paper's models: its code lies in its folder (arXiv 2408.01800).

An image becomes an overview and slices, each of them a row of 96 resampled tokens between `<image>` and `</image>`. Its
own forward pass takes nested lists of slices, and places of those tokens, in one argument `data`.
"""

from collections.abc import Mapping
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPast

from mstar_models.families.declaration import Family
from mstar_models.families.remote import RemoteCode


def _trunk(
    model: Any,
    *,
    input_ids: torch.Tensor,
    position_ids: torch.Tensor,
    pixel_values: torch.Tensor | None = None,
    tgt_sizes: torch.Tensor | None = None,
    image_bound: torch.Tensor | None = None,
    slices: torch.Tensor | None = None,
    **inputs: Any,
) -> BaseModelOutputWithPast:
    """`pixel_values` [3, patch, all patches × patch], `tgt_sizes` and `image_bound` [slices, 2], `slices` [B]."""
    if pixel_values is None or tgt_sizes is None or image_bound is None or slices is None:
        embedded = model.llm.get_input_embeddings()(input_ids)
    else:
        counts = slices.tolist()
        # A slice of h × w patches is h · w · patch columns wide: its patches lie side by side.
        widths = (tgt_sizes.prod(dim=1) * pixel_values.shape[1]).tolist()
        each = iter(torch.split(pixel_values, widths, dim=2))
        data = {
            "input_ids": input_ids,
            "position_ids": position_ids,
            "pixel_values": [[next(each) for _ in range(count)] for count in counts],
            "tgt_sizes": list(torch.split(tgt_sizes, counts)),
            "image_bound": list(torch.split(image_bound, counts)),
        }
        embedded, _ = model.get_vllm_embedding(data)
    found: BaseModelOutputWithPast = model.llm.model(inputs_embeds=embedded, position_ids=position_ids, **inputs)
    return found


def _pixels(values: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """From lists over prompts, of which there is one, of slices [3, patch, patches × patch]."""
    slices = list(values["pixel_values"][0])
    return {
        "pixel_values": torch.cat(slices, dim=2),
        "tgt_sizes": torch.as_tensor(values["tgt_sizes"][0]).reshape(-1, 2),
        "image_bound": torch.as_tensor(values["image_bound"][0]).reshape(-1, 2),
        "slices": torch.tensor([len(slices)]),
    }


FAMILY = Family(
    name="MiniCPM-Llama3-V-2.5",
    model_types=("minicpmv",),
    pixel_axes={"pixel_values": 2},
    tower_by_image=False,
    remote=RemoteCode(
        trunk=_trunk,
        tower=lambda model: model.vpm,
        decoder=lambda model: model.llm.model,
        image_mark=lambda number: "(<image>./</image>)\n",
        pixels=_pixels,
    ),
)
