"""The form in which a model family says what it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from mstar_models.families.remote import RemoteCode

TokenInputs = Callable[[Any, list[int], int], dict[str, Tensor]]
"""From a model's configuration, the token ids [P] of a prompt and the length T of a sequence that begins with it, to
inputs [1, T] that the forward pass takes beside the ids."""
ShapeLogits = Callable[[Any, Tensor], Tensor]
"""From a model's configuration and what its output head gives, to its logits, value by value, in the same shape."""


@dataclass(frozen=True)
class Family:
    """What one model family needs; every default is what most families need, which is nothing."""

    name: str
    model_types: tuple[str, ...] = ()
    """`model_type` in config.json."""
    processors: tuple[str, ...] = ()
    """Class names of its processors."""
    token_inputs: TokenInputs | None = None
    """Inputs for each token beside its id; None: those that the forward pass asks for by the usual names."""
    sees_ahead: Literal["image", "prompt"] | None = None
    """What is one block whose tokens all see each other: each image, or the whole prompt."""
    ahead_if_configured: bool = False
    """`sees_ahead` holds only for configurations that say so (`use_bidirectional_attention`)."""
    pixel_axes: Mapping[str, int] = field(default_factory=dict)
    """Axis on which the pixels of several prompts are joined, by the tensor's name, where it is not the first."""
    tower_by_image: bool = True
    """Whether the vision tower's outputs have one image after another on their first axis, so that a frozen tower's
    outputs can be kept by image."""
    more_towers: tuple[str, ...] = ()
    """Names, in the model without its head, of vision towers beside the one that transformers calls the encoder."""
    shape_logits: ShapeLogits | None = None
    """What the model does to its output head's values; None: they are its logits."""
    template: str | None = None
    """Chat template for folders that have none, because the family was never tuned for conversations."""
    remote: RemoteCode | None = None
    """How it is called, for a family whose code lies in its folder; None: transformers has it."""
