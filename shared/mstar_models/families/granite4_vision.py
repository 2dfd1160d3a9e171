"""Granite 4 Vision: its logits are what the output head gives, divided by a number of its configuration."""

from typing import Any

from torch import Tensor

from mstar_models.families.declaration import Family


def _divided(config: Any, values: Tensor) -> Tensor:
    """Values [...] of the output head as logits of the same shape."""
    scale: float = config.get_text_config().logits_scaling
    return values / scale


FAMILY = Family(
    name="Granite 4 Vision",
    model_types=("granite4_vision",),
    processors=("Granite4VisionProcessor",),
    shape_logits=_divided,
)
