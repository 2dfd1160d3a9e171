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

from mstar_models.trunk import output_head, run_trunk
from mstar_trainer.vision import FrozenTower, Picture


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch of B trees, T tokens wide, with P scored places."""

    inputs: dict[str, Tensor]
    """input_ids [B, T], position_ids, spans [B, 2, T] of the trees, and the processor's pixel tensors."""
    images: tuple[Picture, ...]
    """The image of each tree with its content hash, B of them."""
    rows: Tensor
    """Tree of each scored place, int64 [P]."""
    columns: Tensor
    """Token whose hidden state is read, int64 [P]."""
    targets: Tensor
    """Targets of the scored places, [P]: ids of the next tokens (int64), or shares of good completions (float32)."""


class ResponseLoss(nn.Module):
    """Objective `sft`: negative log-likelihood of response tokens and end of sequence, in nats."""

    def __init__(self, model: Any, frozen: FrozenTower | None = None, fused: bool | None = None) -> None:
        """`fused`: compute logits [P, V] in chunks and never hold all of them; None: where that saves memory."""
        super().__init__()
        self.model = model
        self.frozen = frozen
        self.fused = fused

    def forward(self, batch: Batch) -> Tensor:
        """Sum over the P places: a scalar."""
        hidden = _hidden(self.model, self.frozen, batch)
        head = output_head(self.model)
        if _saves(head) if self.fused is None else self.fused:
            options = torch.nn.LinearCrossEntropyOptions()
            return functional.linear_cross_entropy(
                hidden, head.weight, batch.targets, linear_bias=head.bias, reduction="sum", options=options
            )
        return functional.cross_entropy(head(hidden).float(), batch.targets, reduction="sum")


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

    def forward(self, batch: Batch) -> Tensor:
        """Sum over the P places: a scalar."""
        logits = output_head(self.model)(_hidden(self.model, self.frozen, batch)).float()
        # A softmax over two logits is the sigmoid of their difference.
        margin = logits[:, self.good] - logits[:, self.bad]
        return functional.binary_cross_entropy_with_logits(margin, batch.targets, reduction="sum")


def _hidden(model: Any, frozen: FrozenTower | None, batch: Batch) -> Tensor:
    """The last hidden states at the scored places: [P, D]."""
    inputs = {name: t.to(model.dtype) if t.is_floating_point() else t for name, t in batch.inputs.items()}
    with nullcontext() if frozen is None else frozen.serving(batch.images):
        hidden: Tensor = run_trunk(model, **inputs, use_cache=False).last_hidden_state
    return hidden[batch.rows, batch.columns]


def _saves(head: nn.Module) -> bool:
    """Whether to compute logits in chunks: on a CPU that saves nothing.

    With ZeRO-3 it cannot be done: a partitioned weight is whole only while its own module is called.
    """
    weight = head.weight
    return isinstance(weight, Tensor) and weight.is_cuda and not hasattr(weight, "ds_status")
