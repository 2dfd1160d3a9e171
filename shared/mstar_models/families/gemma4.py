"""Gemma 4: tokens of an image see each other in both directions where the configuration says so, else all is causal.

Its logits are bent so that none is larger than the configuration says.
"""

from typing import Any

import torch
from torch import Tensor

from mstar_models.families.declaration import Family


def _capped(config: Any, values: Tensor) -> Tensor:
    """Values [...] of the output head as logits of the same shape."""
    largest = config.get_text_config().final_logit_softcapping
    return values if largest is None else torch.tanh(values / largest) * largest


FAMILY = Family(
    name="Gemma 4",
    model_types=("gemma4",),
    processors=("Gemma4Processor",),
    sees_ahead="image",
    ahead_if_configured=True,
    shape_logits=_capped,
)
