"""The two objectives, as modules around the model: both return a sum, which the caller divides by the step's total.

Dividing by the number of tokens (or of steps) of the whole optimizer step, and not of the micro-batch, makes the update
independent of how rows are split into micro-batches and among ranks. Only the hidden states at the scored places go
through the language model head, so no logits are made for prompts, images and padding.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from mstar_models.trunk import output_logits, run_trunk
from mstar_trainer.vision import FrozenTower, Picture

PLACES = 1024
"""Places whose logits are held at a time on a GPU: 2 GB with their gradients, at a vocabulary of 152,000."""


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """One micro-batch of B trees, T tokens wide, with P scored places."""

    inputs: dict[str, Tensor]
    """input_ids [B, T], position_ids, spans [B, 2, T] of the trees, and the processor's pixel tensors."""
    images: tuple[Picture, ...]
    """The images of each tree with their content hashes, B of them."""
    rows: Tensor
    """Tree of each scored place, int64 [P]."""
    columns: Tensor
    """Token whose hidden state is read, int64 [P]."""
    targets: Tensor
    """Targets of the scored places, [P]: ids of the next tokens (int64), or shares of good completions (float32)."""

    @property
    def pictured(self) -> bool:
        """Whether the vision tower takes part: all trees of a batch have images, or none has."""
        return bool(self.images[0][1])


class ResponseLoss(nn.Module):
    """Objective `sft`: negative log-likelihood of response tokens and end of sequence, in nats."""

    def __init__(self, model: Any, frozen: FrozenTower | None = None, places: int | None = None) -> None:
        """`places`: compute logits [P, V] for this many places at a time, never all; None: where it saves memory.

        The logits of 8,192 places over 152,000 tokens with their gradients take 15 GB.
        """
        super().__init__()
        self.model = model
        self.frozen = frozen
        self.places = places

    def forward(self, batch: MicroBatch, read: bool = False) -> Tensor:
        """Sum over the P places: a scalar. With `read`, the logits [P, V] instead."""
        hidden = _hidden(self.model, self.frozen, batch)
        if read:
            return output_logits(self.model, hidden).float()
        places = self.places or (PLACES if hidden.is_cuda else len(hidden))
        if len(hidden) <= places:
            return _negative_log_likelihood(self.model, hidden, batch.targets)
        # Not torch's linear_cross_entropy, which adds up in bfloat16: its loss is off by a tenth (docs/gpu-runs.md).
        parts = [
            checkpoint(_negative_log_likelihood, self.model, *part, use_reentrant=False)
            for part in zip(torch.split(hidden, places), torch.split(batch.targets, places), strict=True)
        ]
        return torch.stack(parts).sum()


class StepLoss(nn.Module):
    """Objective `prm`: binary cross-entropy with soft labels over two label tokens at the end of every step.

    The paper does not give its loss. This one has precedent in VisualPRM and MM-PRM; the score of a step is the
    probability of the good token against the bad one, the rest of the vocabulary left out.
    """

    def __init__(self, model: Any, good: int, bad: int, frozen: FrozenTower | None = None) -> None:
        """`good` and `bad`: ids of the two label tokens."""
        super().__init__()
        self.model = model
        self.good = good
        self.bad = bad
        self.frozen = frozen

    def forward(self, batch: MicroBatch, read: bool = False) -> Tensor:
        """Sum over the P places: a scalar. With `read`, the score [P] of each place instead."""
        logits = output_logits(self.model, _hidden(self.model, self.frozen, batch)).float()
        # A softmax over two logits is the sigmoid of their difference.
        margin = logits[:, self.good] - logits[:, self.bad]
        if read:
            scores: Tensor = margin.sigmoid()
            return scores
        return functional.binary_cross_entropy_with_logits(margin, batch.targets, reduction="sum")


def _hidden(model: Any, frozen: FrozenTower | None, batch: MicroBatch) -> Tensor:
    """The last hidden states at the scored places: [P, D]."""
    inputs = {name: t.to(model.dtype) if t.is_floating_point() else t for name, t in batch.inputs.items()}
    with nullcontext() if frozen is None or not batch.pictured else frozen.serving(batch.images):
        hidden: Tensor = run_trunk(model, **inputs, use_cache=False).last_hidden_state
    return hidden[batch.rows, batch.columns]


def _negative_log_likelihood(model: Any, hidden: Tensor, targets: Tensor) -> Tensor:
    """Sum over places, in float32, from hidden states [P, D] and token ids [P]."""
    return functional.cross_entropy(output_logits(model, hidden).float(), targets, reduction="sum")
