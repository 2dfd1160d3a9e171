"""What a forward pass takes for each token beside its id: which tokens are an image's, which images a token sees.

A sequence is a prompt with any number of response tokens after it; those are text, and see what the prompt's last
token sees of the images.
"""

from collections.abc import Sequence
from inspect import signature
from typing import Any, Literal

import torch

from mstar_models.encoding import EncodedPrompt
from mstar_models.families import family_of
from mstar_models.suitability import looks_ahead


def token_inputs(
    model: Any, rows: Sequence[tuple[EncodedPrompt, int]], width: int, side: Literal["left", "right"]
) -> dict[str, torch.Tensor]:
    """Tensors [B, width, ...] for sequences that begin with the prompts and have the given lengths.

    Empty for most families. Padding on `side` repeats the value at that end: the attention mask hides it.
    """
    found = [_of_row(model, prompt, length) for prompt, length in rows]
    return {name: torch.cat([_padded(own[name], width, side) for own in found]) for name in found[0]}


def _of_row(model: Any, prompt: EncodedPrompt, length: int) -> dict[str, torch.Tensor]:
    """Tensors [1, length, ...]."""
    declared = family_of(model.config).token_inputs
    name = _kinds_name(model) if declared is None else None
    inputs = {} if declared is None else declared(model.config, prompt.input_ids, length)
    if name is not None:
        inputs[name] = _image_places(model.config, prompt.input_ids, length)
    return inputs | {name: _padded(value, length, "right") for name, value in prompt.per_token.items()}


def _kinds_name(model: Any) -> str | None:
    """By which name a forward pass takes the places of images, if tokens of an image see each other."""
    taken = signature(model.forward).parameters
    if "token_type_ids" in taken:
        return "token_type_ids"
    # Others take this one for positions only, which they are given.
    return "mm_token_type_ids" if "mm_token_type_ids" in taken and looks_ahead(model.config) else None


def _image_places(config: Any, prompt: list[int], length: int) -> torch.Tensor:
    """[1, T]: 1 where an image is."""
    kinds = (torch.tensor([prompt]) == config.image_token_id).long()
    return torch.nn.functional.pad(kinds, (0, length - len(prompt)))


def _padded(value: torch.Tensor, width: int, side: Literal["left", "right"]) -> torch.Tensor:
    """[1, width, ...] from [1, T, ...]: the value at that end is repeated."""
    missing = width - value.shape[1]
    if missing <= 0:
        return value
    end = value[:, :1] if side == "left" else value[:, -1:]
    more = end.expand(-1, missing, *value.shape[2:])
    return torch.cat([more, value] if side == "left" else [value, more], dim=1)
