"""What the pretraining of both base models shares: optimizers, learning rate, batches, loss and the update.

What this leaves out: what is taught, which is each set's own.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

LAST_RATE = 1e-4
"""Learning rate at the end, from where self-evolution goes on."""
RISING_STEPS = 100


def make_optimizers(model: Any, peak: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the language model, AdamW for the rest; vision tower and connector are frozen.

    With Muon reading is learnt in a tenth of the steps. What the seeing phase taught stays as it is.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("vision_model" not in name and "connector" not in name)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    inner = [parameter for name, parameter in trained.items() if ".layers." in name and parameter.ndim == 2]
    rest = [parameter for name, parameter in trained.items() if ".layers." not in name or parameter.ndim != 2]
    return [
        # Updates of the size that AdamW's have, so that one rate serves both.
        torch.optim.Muon(inner, lr=peak, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=peak, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def rate_at(step: int, steps: int, peak: float) -> float:
    """Learning rate of a step: a linear rise, then half a cosine down to `LAST_RATE`."""
    # AdamW's second moments say little in the first steps, so the rate rises slowly.
    if step < RISING_STEPS:
        return peak * (step + 1) / RISING_STEPS
    return LAST_RATE + (peak - LAST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2


def update(model: Any, optimizers: Sequence[torch.optim.Optimizer], loss: torch.Tensor, rate: float) -> None:
    """One step of every optimizer, with the gradient's norm clipped at 1."""
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def padded(rows: Sequence[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
    """Prompts with their responses as input_ids, attention_mask and labels [B, T], padded on the right."""
    width = max(len(prompt) + len(response) for prompt, response in rows)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    # -100: what the loss leaves out, prompts and padding.
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for place, (prompt, response) in enumerate(rows):
        whole = torch.tensor(prompt + response)
        ids[place, : len(whole)] = whole
        mask[place, : len(whole)] = 1
        labels[place, len(prompt) : len(whole)] = whole[len(prompt) :]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def response_loss(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean cross-entropy per response token, with the head computed at those tokens only; takes `labels` out."""
    labels = batch.pop("labels")
    # [B, T - 1, hidden]: each place predicts the token after it.
    hidden = model.model(**batch, use_cache=False).last_hidden_state[:, :-1]
    wanted = labels[:, 1:] != -100
    # [response tokens, vocabulary]: prompts and padding are most of a batch and get no logits.
    return cross_entropy(model.lm_head(hidden[wanted]), labels[:, 1:][wanted])
