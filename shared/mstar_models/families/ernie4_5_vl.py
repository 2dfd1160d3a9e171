"""ERNIE 4.5 VL: tokens of an image, and those before and behind it, go through experts of their own."""

from typing import Any

import torch

from mstar_models.families.declaration import Family

_OF_IMAGES = ("image_token_id", "image_start_token_id", "image_end_token_id")


def _experts(config: Any, prompt: list[int], length: int) -> dict[str, torch.Tensor]:
    """`moe_mm_token_type_ids` [1, T]: 1 for what the experts of images compute, 0 for text."""
    theirs = torch.tensor([getattr(config, name) for name in _OF_IMAGES])
    kinds = torch.zeros((1, length), dtype=torch.long)
    # A response is text: what it spells of these tokens was made harmless.
    kinds[0, : len(prompt)] = torch.isin(torch.tensor(prompt), theirs).long()
    return {"moe_mm_token_type_ids": kinds}


FAMILY = Family(
    name="ERNIE 4.5 VL",
    model_types=("ernie4_5_vl_moe",),
    processors=("Ernie4_5_VLMoeProcessor",),
    token_inputs=_experts,
)
