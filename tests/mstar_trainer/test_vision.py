"""A frozen tower gives the same numbers as a living one, and sees every image once."""

import pytest
import torch

from architectures import ARCHITECTURES
from mstar.prompts import PRESETS, PromptPreset
from mstar.train_recipe import TrainRecipe
from mstar_trainer.batches import grouped, sft_examples
from mstar_trainer.encoding import ExampleEncoder, micro_batches
from mstar_trainer.loss import MicroBatch, ResponseLoss
from mstar_trainer.parts import freeze, vision_tower
from mstar_trainer.vision import FrozenTower
from trainer_bench import MODEL, Bench

PLAIN = PRESETS[PromptPreset.MINIVISTA]

ROOMY = 10_000


def batches_of(encoder: ExampleEncoder, bench: Bench) -> list[MicroBatch]:
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
    freeze(model, TrainRecipe(freeze_vision=True))
    plain = [value(ResponseLoss(model), batch) for batch in batches]
    frozen = FrozenTower(model, vision_tower(model), room)
    for _ in range(2):
        for batch, (loss, gradient) in zip(batches, plain, strict=True):
            again, other = value(ResponseLoss(model, frozen), batch)
            assert again == pytest.approx(loss, rel=1e-6)
            # The order of sums, and so the last bit of the largest entries, differs between processors.
            assert torch.allclose(gradient, other, atol=1e-6 * gradient.abs().max().item())
    assert frozen.computed == (5 if room else 10)


def value(objective: ResponseLoss, batch: MicroBatch) -> tuple[float, torch.Tensor]:
    objective.zero_grad()
    loss = objective(batch)
    loss.backward()
    return loss.item(), torch.cat([p.grad.flatten() for p in objective.parameters() if p.grad is not None])


def test_what_the_tower_says_of_a_picture_hangs_on_no_other(bench: Bench) -> None:
    """A pass over several has other last bits than one over fewer, and which are new is another when it is resumed."""
    model, _ = ARCHITECTURES[0]()
    encoder = ExampleEncoder(MODEL, bench.home, model)
    tower = vision_tower(model)
    batch = batches_of(encoder, bench)[0]
    widths: list[int] = []
    compute = tower.forward

    def counted(*args: object, **kwargs: object) -> object:
        widths.append(next(value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)).shape[0])
        return compute(*args, **kwargs)

    tower.forward = counted
    freeze(model, TrainRecipe(freeze_vision=True))
    ResponseLoss(model, FrozenTower(model, tower))(batch)
    assert len(widths) == len({key for key, _ in batch.images}) > 1
    assert set(widths) == {1}
