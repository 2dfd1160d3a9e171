"""The two objectives as modules around the model: both return a sum, which the caller divides by the step's total.

Dividing by the number of tokens (or of steps) of the whole optimizer step, and not of the micro-batch, makes the update
independent of how rows are cut into micro-batches and dealt to ranks. Only the hidden states at the scored places go
through the language model head, so no logits are made for prompts, images and padding.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch of B rows, L tokens wide, with P scored places."""

    inputs: dict[str, Tensor]
    """input_ids and attention_mask [B, L], padded on the right, and the processor's pixel tensors."""
    rows: Tensor
    """Row of each scored place, int64 [P]."""
    columns: Tensor
    """Token whose hidden state is read, int64 [P]."""
    targets: Tensor
    """What should come out there, [P]: the next token's id (int64), or the share of good completions (float32)."""


class ResponseLoss(nn.Module):
    """Objective `sft`: negative log-likelihood of response tokens and end of sequence, in nats."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        """Sum over the P places: a scalar."""
        logits = _logits(self.model, batch)
        return functional.cross_entropy(logits.float(), batch.targets, reduction="sum")


class StepLoss(nn.Module):
    """Objective `prm`: binary cross-entropy with soft labels over two label tokens at the end of every step.

    The paper does not give its loss. This one has precedent in VisualPRM and MM-PRM; the score of a step is the
    probability of the good token against the bad one, the rest of the vocabulary left out.
    """

    def __init__(self, model: Any, good: int, bad: int) -> None:
        super().__init__()
        self.model = model
        self.good = good
        self.bad = bad

    def forward(self, batch: Batch) -> Tensor:
        """Sum over the P places: a scalar."""
        logits = _logits(self.model, batch).float()
        margin = logits[:, self.good] - logits[:, self.bad]
        return functional.binary_cross_entropy_with_logits(margin, batch.targets, reduction="sum")


def _logits(model: Any, batch: Batch) -> Tensor:
    """Scores over the vocabulary V at the scored places: [P, V]."""
    inputs = {name: t.to(model.dtype) if t.is_floating_point() else t for name, t in batch.inputs.items()}
    hidden: Tensor = model.base_model(**inputs, use_cache=False).last_hidden_state
    logits: Tensor = model.get_output_embeddings()(hidden[batch.rows, batch.columns])
    return logits


def freeze_vision(model: nn.Module) -> None:
    """Exclude the vision tower from training; the connector and the language model stay in.

    Raises ValueError for a model that has no tower by a name that transformers knows.
    """
    tower: torch.nn.Module = model.get_encoder(modality="image")  # type: ignore[operator]
    if tower is model or tower is getattr(model, "base_model", None):
        raise ValueError("settings.freeze_vision: no vision tower was found in this model; set it to false")
    tower.requires_grad_(False)
