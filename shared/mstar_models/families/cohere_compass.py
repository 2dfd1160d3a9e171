"""Cohere Compass: its logits are what the output head gives, times a number of its configuration."""

from typing import Any

from torch import Tensor

from mstar_models.families.declaration import Family


def _scaled(config: Any, values: Tensor) -> Tensor:
    """Values [...] of the output head as logits of the same shape."""
    scale = config.get_text_config().logit_scale
    return values if scale is None else values * scale


FAMILY = Family(
    name="Cohere Compass",
    model_types=("cohere_compass",),
    processors=("CohereCompassProcessor",),
    shape_logits=_scaled,
)
