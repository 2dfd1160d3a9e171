"""All responses of a question as one tree behind one copy of its prompt.

Steps that responses have in common at their beginning are there once, so the tokens computed are P plus those of the
distinct beginnings, instead of n (P + R). Every token sees the prompt, the steps before it in its own responses, and
nothing of the others; its position is that of a sequence of its own, so the numbers are those of n separate sequences
(the prefix sharing of Prefix Grouper, arXiv 2506.05433, carried on through the steps).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import torch

from mstar_models.encoding import EncodedPrompt

PROMPT = 0
"""The root of the tree."""


@dataclass
class Packed:
    """One question's prompt and some of its responses as one sequence of T tokens."""

    ids: list[int]
    positions: list[int]
    nodes: list[int]
    """For each token, which piece of the tree it belongs to."""
    parents: list[int] = field(default_factory=lambda: [PROMPT])
    """For each piece the one before it; the prompt is its own."""
    axes: torch.Tensor | None = None
    """[3, P] positions of the prompt in time, height and width, for models that have them (M-RoPE)."""
    ends: list[list[int]] = field(default_factory=list)
    """For each response, where its segments end in `ids`."""
    _pieces: dict[tuple[int, tuple[int, ...]], tuple[int, int]] = field(default_factory=dict)
    """(piece before, token ids) → (piece, place of its last token)."""

    def cost(self, segments: Sequence[tuple[int, ...]]) -> int:
        """Tokens that a response would add: those of its segments from the first that is not there yet."""
        node = PROMPT
        for place, tokens in enumerate(segments):
            found = self._pieces.get((node, tokens)) if tokens else (node, 0)
            if found is None:
                return sum(map(len, segments[place:]))
            node = found[0]
        return 0

    def add(self, segments: Sequence[tuple[int, ...]]) -> None:
        """Put a response after the prompt, sharing the pieces that are there.

        A segment without tokens ends together with another one: an empty one has the end of the one before it.
        """
        node, end, ends = PROMPT, self.nodes.count(PROMPT) - 1, []
        for tokens in segments:
            if tokens:
                found = self._pieces.get((node, tokens))
                if found is None:
                    found = self._pieces[node, tokens] = self._grow(node, self.positions[end] + 1, tokens)
                node, end = found
            ends.append(end)
        self.ends.append(ends)

    def _grow(self, parent: int, position: int, tokens: tuple[int, ...]) -> tuple[int, int]:
        node = len(self.parents)
        # Appended after all others, so a piece has a higher number than its parent: `_spans` relies on it.
        self.parents.append(parent)
        self.ids += tokens
        self.positions += range(position, position + len(tokens))
        self.nodes += [node] * len(tokens)
        return node, len(self.ids) - 1


def start(prompt: Sequence[int], axes: torch.Tensor | None = None) -> Packed:
    """A prompt of P tokens without responses; `axes` [3, P] where the model has M-RoPE (`prompt_axes`).

    It ends in text, whose position is one on all axes: responses go on from there.
    """
    # One axis is enough to go on from: the prompt ends in text, which has the same position on all three.
    positions = list(range(len(prompt))) if axes is None else axes[0].tolist()
    return Packed(list(prompt), positions, [PROMPT] * len(prompt), axes=axes)


def prompt_axes(model: Any, prompt: EncodedPrompt) -> torch.Tensor | None:
    """Positions [3, P] of a prompt where the model has M-RoPE; None where places are enough."""
    index = getattr(model.base_model, "get_rope_index", None)
    if index is None:
        return None
    ids = torch.tensor([prompt.input_ids], device=model.device)
    # The sizes of images in patches, which families name differently: `image_grid_thw`, `target_sizes`.
    taken = signature(index).parameters
    grid = {key: value.to(model.device) for key, value in prompt.pixels.items() if key in taken}
    # 1 is an image to `get_rope_index`, 0 text; nothing here is a video.
    kinds = (ids == model.config.image_token_id).int()
    positions, _ = index(input_ids=ids, mm_token_type_ids=kinds, **grid)
    return positions[:, 0].cpu()  # type: ignore[no-any-return]


def tensors(batch: Sequence[Packed], pad_id: int) -> dict[str, torch.Tensor]:
    """Tensors of packed trees, padded to the longest.

    `input_ids` [B, T], `position_ids` [B, T] or with axes [3, B, T], and `spans` [B, 2, T], int32, for the mask
    (`mstar_models.attention`): a token's place in a walk through the tree, depth first, and where the walk leaves what
    grows from it. A query at place p sees the keys with place <= p < end.
    """
    width = max(len(packed.ids) for packed in batch)
    ids = torch.full((len(batch), width), pad_id, dtype=torch.long)
    positions = torch.zeros_like(ids)
    # Padding sees itself, or softmax would be empty, and comes after every token.
    alone = torch.stack([torch.arange(width), torch.arange(1, width + 1)]).int()
    spans = alone.repeat(len(batch), 1, 1)
    for row, packed in enumerate(batch):
        length = len(packed.ids)
        ids[row, :length] = torch.tensor(packed.ids)
        positions[row, :length] = torch.tensor(packed.positions)
        spans[row, :, :length] = _spans(packed)
    inputs = {"input_ids": ids, "spans": spans}
    return inputs | {"position_ids": positions if batch[0].axes is None else _on_axes(positions, batch)}


def _on_axes(positions: torch.Tensor, batch: Sequence[Packed]) -> torch.Tensor:
    """[3, B, T]: the prompts' own positions, and the same one on all axes for the text after them."""
    spread = positions.expand(3, -1, -1).clone()
    for row, packed in enumerate(batch):
        assert packed.axes is not None
        spread[:, row, : packed.axes.shape[1]] = packed.axes
    return spread


def _spans(packed: Packed) -> torch.Tensor:
    """[2, T]: each token's place in a walk through the tree, and where the walk leaves the subtree of its piece."""
    nodes = torch.tensor(packed.nodes)
    own = nodes.bincount(minlength=len(packed.parents)).tolist()
    below = list(own)
    # A piece comes after its parent, so backwards every subtree is complete before it is counted.
    for node in range(len(own) - 1, PROMPT, -1):
        below[packed.parents[node]] += below[node]
    # `free`: where the next child of a piece begins, after the piece's own tokens and its earlier children.
    begins, free = [0] * len(own), list(own)
    for node in range(1, len(own)):
        begins[node] = free[packed.parents[node]]
        free[packed.parents[node]] += below[node]
        free[node] += begins[node]
    first, tokens = torch.tensor(begins), torch.tensor(own)
    # Tokens of a piece lie side by side, and pieces in the order of their numbers.
    places = torch.arange(len(nodes)) - (tokens.cumsum(0) - tokens)[nodes] + first[nodes]
    return torch.stack([places, (first + torch.tensor(below))[nodes]]).int()
