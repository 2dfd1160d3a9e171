"""A frozen tower gives the same numbers as a living one, and sees every image once."""

import pytest
import torch

from architectures import ARCHITECTURES
from mstar.prompts import PRESETS, PromptPreset
from mstar_models.loading import load_model
from mstar_trainer.batches import grouped, sft_examples
from mstar_trainer.encoding import ExampleEncoder, micro_batches
from mstar_trainer.loss import Batch, ResponseLoss
from mstar_trainer.vision import FrozenTower, freeze
from trainer_bench import MODEL, Bench

PLAIN = PRESETS[PromptPreset.MINIVISTA]

ROOMY = 10_000


def test_freezing_leaves_the_language_model_and_the_connector() -> None:
    fresh = load_model(MODEL)
    freeze(fresh)
    frozen = {name for name, p in fresh.named_parameters() if not p.requires_grad}
    assert frozen == {name for name, _ in fresh.named_parameters() if ".vision_model." in name}


def batches_of(encoder: ExampleEncoder, bench: Bench) -> list[Batch]:
    groups = grouped(sft_examples(bench.selected(5), PLAIN))
    budget = max(len(tree.packed.ids) for tree in encoder.trees(groups, ROOMY)) * 2
    return micro_batches(encoder.trees(groups, budget), budget, torch.device("cpu"))


@pytest.mark.parametrize("room", [2**31, 0])
@pytest.mark.parametrize("make", ARCHITECTURES, ids=lambda make: make.__name__)
def test_kept_outputs_give_the_same_loss_and_gradient(make: object, room: int, bench: Bench) -> None:
    torch.manual_seed(3)
    model, prompts = make()  # type: ignore[operator]
    encoder = ExampleEncoder(MODEL, bench.home, model)
    encoder._prompts, encoder.tokenizer = prompts, prompts.processor.tokenizer
    batches = batches_of(encoder, bench)
    tower = freeze(model)
    plain = [value(ResponseLoss(model), batch) for batch in batches]
    frozen = FrozenTower(model, tower, room)
    for _ in range(2):
        for batch, (loss, gradient) in zip(batches, plain, strict=True):
            again, other = value(ResponseLoss(model, frozen), batch)
            assert again == pytest.approx(loss, rel=1e-6)
            assert torch.allclose(gradient, other, atol=1e-6)
    assert frozen.computed == (5 if room else 10)


def value(objective: ResponseLoss, batch: Batch) -> tuple[float, torch.Tensor]:
    objective.zero_grad()
    loss = objective(batch)
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in objective.parameters() if p.grad is not None])
