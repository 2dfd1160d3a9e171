"""How the responses of a question become sequences that one model computes exactly.

Where a mask can say what every layer sees, they are one tree behind one copy of the prompt (`packing`). Elsewhere
each response is a sequence of its own, padded on the right: slower, and right for every decoder, since no token of a
response depends on what comes after it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from mstar_models.encoding import EncodedPrompt, join_pixels
from mstar_models.families import family_of
from mstar_models.packing import Packed, prompt_axes, start, tensors
from mstar_models.suitability import looks_ahead, packing_obstacle, require_decoder
from mstar_models.token_inputs import token_inputs


class SequenceLayout:
    """The sequences of one model."""

    def __init__(self, model: Any) -> None:
        """Raises InvalidInput for a model that has no sequence of prompt and response."""
        require_decoder(model.config)
        self.packs = packing_obstacle(model) is None
        """Whether the responses of a question share one copy of its prompt."""
        self.family = family_of(model.config)
        self.model = model

    def start(self, prompt: EncodedPrompt) -> Packed:
        """A sequence of a prompt without responses."""
        return start(prompt.input_ids, prompt_axes(self.model, prompt))

    def another(self, packed: Packed) -> Packed:
        """A sequence of the same prompt without responses."""
        width = packed.nodes.count(0)
        return start(packed.ids[:width], packed.axes)

    def takes(self, packed: Packed, pieces: Sequence[tuple[int, ...]], budget: int) -> bool:
        """Whether a sequence takes one more response within `budget` tokens; the first always."""
        if not packed.ends:
            return True
        return self.packs and len(packed.ids) + packed.cost(pieces) <= budget

    def inputs(self, rows: Sequence[tuple[EncodedPrompt, Packed]]) -> dict[str, torch.Tensor]:
        """Arguments of a forward pass over B sequences of at most T tokens, pixels included.

        `input_ids` [B, T], `position_ids` [B, T] or [3, B, T], for trees `spans` [B, 2, T], else `attention_mask`
        [B, T], and what the family takes for each token.
        """
        inputs = tensors([packed for _, packed in rows], pad_id=0)
        if self.packs:
            for row, (prompt, _) in enumerate(rows):
                # The places of the walk only: its ends stay, so what comes after a block sees what it saw.
                self._look_ahead(prompt, inputs["spans"][row, 0])
        else:
            del inputs["spans"]
            inputs["attention_mask"] = _right_padded([len(packed.ids) for _, packed in rows])
        lengths = [(prompt, len(packed.ids)) for prompt, packed in rows]
        more = token_inputs(self.model, lengths, inputs["input_ids"].shape[1], "right")
        return inputs | more | join_pixels([prompt for prompt, _ in rows])

    def _look_ahead(self, prompt: EncodedPrompt, places: torch.Tensor) -> None:
        """Let the tokens of a block see each other: in `places` [T] of the walk, all of them stand at its first one."""
        if self.family.ahead_if_configured and not looks_ahead(self.model.config):
            return
        ids = torch.tensor(prompt.input_ids)
        if self.family.sees_ahead == "prompt":
            places[: len(ids)] = 0
        elif self.family.sees_ahead == "image":
            image = ids == self.model.config.image_token_id
            # An image begins where the token before is of no image; two images are parted by the tokens around each.
            begins = image & ~functional.pad(image, (1, 0))[:-1]
            first = torch.where(begins | ~image, torch.arange(len(ids)), 0).cummax(0).values
            places[: len(ids)] = first.to(places.dtype)


def _right_padded(lengths: Sequence[int]) -> torch.Tensor:
    """[B, T]: 1 where a sequence has tokens."""
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
