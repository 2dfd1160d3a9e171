"""All responses of a question behind one copy of its prompt: P + n R tokens instead of n (P + R).

Every response sees the prompt and itself, never another response, and its positions go on from the prompt's, so the
numbers are those of n separate sequences (the prefix sharing of Prefix Grouper, arXiv 2506.05433).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Packed:
    """One question's prompt and some of its responses as one sequence of T tokens."""

    ids: list[int]
    positions: list[int]
    blocks: list[int]
    """0 for the prompt, then 1, 2 … for the responses."""
    ends: list[list[int]]
    """For each response, where its segments end in `ids`."""


def pack(prompt: Sequence[int], responses: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Packed:
    """Pack (token ids, segment ends) of responses behind a prompt."""
    ids, positions, blocks = list(prompt), list(range(len(prompt))), [0] * len(prompt)
    ends: list[list[int]] = []
    for block, (tokens, stops) in enumerate(responses, 1):
        ends.append([len(ids) + stop for stop in stops])
        ids += tokens
        positions += range(len(prompt), len(prompt) + len(tokens))
        blocks += [block] * len(tokens)
    return Packed(ids, positions, blocks, ends)


def tensors(batch: Sequence[Packed], pad_id: int) -> dict[str, torch.Tensor]:
    """`input_ids` and `position_ids` [B, T], and the boolean `attention_mask` [B, 1, T, T], true where attended."""
    width = max(len(packed.ids) for packed in batch)
    ids = torch.full((len(batch), width), pad_id, dtype=torch.long)
    positions = torch.zeros_like(ids)
    blocks = torch.full_like(ids, -1)
    for row, packed in enumerate(batch):
        length = len(packed.ids)
        ids[row, :length] = torch.tensor(packed.ids)
        positions[row, :length] = torch.tensor(packed.positions)
        blocks[row, :length] = torch.tensor(packed.blocks)
    causal = torch.ones((width, width), dtype=torch.bool).tril()
    # [B, T, T]: the key is in the prompt or in the query's own block. Padding sees itself, or softmax would be empty.
    visible = (blocks[:, None, :] == 0) | (blocks[:, None, :] == blocks[:, :, None])
    return {"input_ids": ids, "position_ids": positions, "attention_mask": (visible & causal)[:, None]}
