"""Both losses are sums over scored places, equal to those of one plain sequence for each row on three architectures."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from architectures import ARCHITECTURES, plain_inputs
from mstar.prompts import PRESETS, PromptPreset
from mstar_models.encoding import encode_segments
from mstar_models.labels import label_token_ids
from mstar_models.loading import load_model
from mstar_trainer.batches import Example, Group, grouped, prm_examples, sft_examples
from mstar_trainer.encoding import ExampleEncoder, micro_batches
from mstar_trainer.loss import MicroBatch, ResponseLoss, StepLoss
from trainer_bench import MODEL, Bench

PLAIN = PRESETS[PromptPreset.MINIVISTA]

CPU = torch.device("cpu")
ROOMY = 10_000


@pytest.fixture(params=ARCHITECTURES, ids=lambda make: make.__name__)
def encoder(request: pytest.FixtureRequest, bench: Bench) -> ExampleEncoder:
    """The encoder of a model of this architecture, which the encoder holds."""
    torch.manual_seed(3)
    model, prompts = request.param()
    made = ExampleEncoder(MODEL, bench.home, model.eval())
    made._prompts, made.tokenizer = prompts, prompts.processor.tokenizer
    return made


def plain_sum(encoder: ExampleEncoder, example: Example, place_loss: Callable[[Tensor, Example], Tensor]) -> Tensor:
    """The loss of one row by the model's own forward pass; `place_loss` gets its logits [R + 1, V]."""
    (tree,) = encoder.trees([(example,)], ROOMY)
    tokens, _ = encode_segments(encoder.tokenizer, example.segments)
    logits = encoder.layout.model(**plain_inputs(tree.prompt, tokens)).logits[0]
    return place_loss(logits[len(tree.prompt.input_ids) - 1 :], example)


def gradient_of(loss: Tensor, model: Any) -> Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("budget", [ROOMY, 150])
def test_response_loss_and_its_gradient_are_those_of_separate_rows(
    bench: Bench, encoder: ExampleEncoder, budget: int
) -> None:
    model, end = encoder.layout.model, encoder.tokenizer.eos_token_id
    groups = grouped(sft_examples(bench.of_one_question(3) + bench.selected(3), PLAIN))

    def nats(logits: Tensor, example: Example) -> Tensor:
        targets = torch.tensor([*encode_segments(encoder.tokenizer, example.segments)[0], end])
        return functional.cross_entropy(logits, targets, reduction="sum")

    batches = micro_batches(encoder.trees(groups, budget), budget, CPU)
    assert len(batches) > 1 or budget == ROOMY
    mine = torch.stack([ResponseLoss(model)(batch) for batch in batches]).sum()
    plain = torch.stack([plain_sum(encoder, example, nats) for group in groups for example in group]).sum()
    assert mine.item() == pytest.approx(plain.item(), rel=1e-5)
    assert torch.allclose(gradient_of(mine, model), gradient_of(plain, model), atol=2e-3, rtol=1e-3)


def test_step_loss_and_its_gradient_are_those_of_separate_rows(bench: Bench, encoder: ExampleEncoder) -> None:
    model = encoder.layout.model
    good, bad = label_token_ids(encoder.tokenizer)
    groups: list[Group] = grouped(prm_examples(bench.labelled(6)))

    def nats(logits: Tensor, example: Example) -> Tensor:
        _, ends = encode_segments(encoder.tokenizer, example.segments)
        score = logits[ends][:, [good, bad]].softmax(-1)[:, 0]
        labels = torch.tensor(example.labels)
        return -(labels * score.log() + (1 - labels) * (1 - score).log()).sum()

    (batch,) = micro_batches(encoder.trees(groups, ROOMY), ROOMY, CPU)
    mine = StepLoss(model, good, bad)(batch)
    plain = torch.stack([plain_sum(encoder, example, nats) for group in groups for example in group]).sum()
    assert mine.item() == pytest.approx(plain.item(), rel=1e-4)
    assert torch.allclose(gradient_of(mine, model), gradient_of(plain, model), atol=1e-3, rtol=1e-3)


def test_response_loss_in_pieces_is_the_plain_one(bench: Bench, encoder: ExampleEncoder) -> None:
    """The path of a GPU, run on this device."""
    model = encoder.layout.model
    groups = grouped(sft_examples(bench.of_one_question(3) + bench.selected(3), PLAIN))
    (batch,) = micro_batches(encoder.trees(groups, ROOMY), ROOMY, CPU)
    assert len(batch.targets) > 2 * 50
    pieces, plain = (ResponseLoss(model, places=places)(batch) for places in (50, None))
    assert pieces.item() == pytest.approx(plain.item(), rel=1e-5)
    found, expected = gradient_of(pieces, model), gradient_of(plain, model)
    assert expected.abs().max() > 0.1
    assert torch.allclose(found, expected, atol=2e-3, rtol=1e-3)


class _Trunk(torch.nn.Module):
    """A model whose trunk gives hidden states [1, P, D] that are there already."""

    def __init__(self, places: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.hidden = torch.nn.Parameter(torch.randn(1, places, 16, dtype=dtype))
        self.head = torch.nn.Linear(16, 700, bias=False, dtype=dtype)
        self.dtype, self.config = dtype, SimpleNamespace(model_type="")

    def base_model(self, **inputs: Any) -> Any:
        return SimpleNamespace(last_hidden_state=self.hidden)

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.head


def test_the_loss_over_many_pieces_in_bfloat16_is_summed_in_float32() -> None:
    torch.manual_seed(0)
    model, index = _Trunk(5000, torch.bfloat16), torch.arange(5000)
    batch = MicroBatch({"input_ids": index[None]}, (), torch.zeros_like(index), index, torch.randint(700, (5000,)))
    pieces = ResponseLoss(model, places=64)(batch)
    exact = functional.cross_entropy(model.head.float()(model.hidden[0].float()), batch.targets, reduction="sum")
    assert pieces.item() == pytest.approx(exact.item(), rel=1e-4)


def test_a_model_that_takes_no_trees_has_the_loss_of_separate_responses(bench: Bench) -> None:
    encoder = ExampleEncoder(MODEL, bench.home, load_model(MODEL))
    group = grouped(sft_examples(bench.of_one_question(3), PLAIN))
    sums = []
    for packs, shapes in ((True, [3]), (False, [1, 1, 1])):
        encoder.layout.packs = packs
        trees = encoder.trees(group, ROOMY)
        assert [len(tree.packed.ends) for tree in trees] == shapes
        (batch,) = micro_batches(trees, ROOMY, CPU)
        sums.append(ResponseLoss(encoder.layout.model)(batch).item())
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)


def test_a_shared_step_counts_for_each_of_its_responses(bench: Bench) -> None:
    encoder = ExampleEncoder(MODEL, bench.home, load_model(MODEL))
    (example,) = sft_examples(bench.selected(1), PLAIN)
    once, twice = (
        ResponseLoss(encoder.layout.model)(micro_batches(encoder.trees([group], ROOMY), ROOMY, CPU)[0]).item()
        for group in ((example,), (example, example))
    )
    assert twice == pytest.approx(2 * once, rel=1e-6)
