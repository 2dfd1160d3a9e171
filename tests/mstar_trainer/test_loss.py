"""Both losses are sums over scored places, so cutting a batch in two changes nothing."""

from typing import Any

import pytest
import torch

from mstar_models.labels import label_token_ids
from mstar_models.loading import load_model
from mstar_trainer.batches import prm_examples, sft_examples
from mstar_trainer.encoding import ExampleEncoder
from mstar_trainer.loss import ResponseLoss, StepLoss, freeze_vision
from trainer_bench import MODEL, Bench

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model(MODEL)


def test_response_loss_is_the_models_own_in_sum(bench: Bench, model: Any) -> None:
    batch = ExampleEncoder(MODEL, bench.home).batch(sft_examples(bench.selected(1)), CPU)
    labels = torch.full_like(batch.inputs["input_ids"], -100)
    labels[batch.rows, batch.columns + 1] = batch.targets
    own = model(**batch.inputs, labels=labels).loss * len(batch.targets)
    assert torch.allclose(ResponseLoss(model)(batch), own, rtol=1e-5)


def test_halves_add_up(bench: Bench, model: Any) -> None:
    encoder = ExampleEncoder(MODEL, bench.home)
    steps = StepLoss(model, *label_token_ids(encoder.tokenizer))
    for loss, examples in (
        (ResponseLoss(model), sft_examples(bench.selected(4))),
        (steps, prm_examples(bench.labelled(4))),
    ):
        whole, first, second = (loss(encoder.batch(part, CPU)) for part in (examples, examples[:1], examples[1:]))
        assert torch.allclose(whole, first + second, rtol=1e-4)


def test_step_loss_is_least_at_the_label(bench: Bench, model: Any) -> None:
    encoder = ExampleEncoder(MODEL, bench.home)
    good, bad = label_token_ids(encoder.tokenizer)
    batch = encoder.batch(prm_examples(bench.labelled(2)), CPU)
    logits = model(**batch.inputs).logits[batch.rows, batch.columns]
    score = torch.softmax(logits[:, [good, bad]], dim=-1)[:, 0]
    expected = -(batch.targets * score.log() + (1 - batch.targets) * (1 - score).log()).sum()
    assert torch.allclose(StepLoss(model, good, bad)(batch), expected, rtol=1e-4)


def test_freezing_leaves_the_language_model_and_the_connector(model: Any) -> None:
    fresh = load_model(MODEL)
    freeze_vision(fresh)
    frozen = {name for name, p in fresh.named_parameters() if not p.requires_grad}
    assert frozen == {name for name, _ in fresh.named_parameters() if ".vision_model." in name}
