"""The places that are scored: response tokens and end of sequence for the policy, ends of steps for the PRM."""

import torch

from mstar_models.encoding import encode_segments
from mstar_trainer.batches import prm_examples, sft_examples
from mstar_trainer.encoding import ExampleEncoder
from trainer_bench import MODEL, Bench

CPU = torch.device("cpu")


def test_every_response_token_and_the_end_are_predicted_once(bench: Bench) -> None:
    encoder = ExampleEncoder(MODEL, bench.home)
    examples = sft_examples(bench.selected(3))
    batch = encoder.batch(examples, CPU)
    ids = batch.inputs["input_ids"]
    for row, example in enumerate(examples):
        mine = batch.rows == row
        tokens, _ = encode_segments(encoder.tokenizer, example.segments)
        assert batch.targets[mine].tolist() == [*tokens, encoder.tokenizer.eos_token_id]
        assert torch.equal(ids[row, batch.columns[mine] + 1], batch.targets[mine])
        assert int(batch.columns[mine].max()) + 2 == int(batch.inputs["attention_mask"][row].sum())


def test_the_prompt_does_not_hold_the_reference_answer(bench: Bench) -> None:
    encoder = ExampleEncoder(MODEL, bench.home)
    row = bench.selected(1)[0]
    answer = row.question.answer
    assert answer is not None
    other = row.question.model_copy(update={"answer": answer.model_copy(update={"value": "8"})})
    changed = row.model_copy(update={"question": other})
    first, second = (encoder.batch(sft_examples([r]), CPU).inputs["input_ids"] for r in (row, changed))
    assert torch.equal(first, second)


def test_steps_are_scored_at_their_last_token(bench: Bench) -> None:
    encoder = ExampleEncoder(MODEL, bench.home)
    examples = prm_examples(bench.labelled(2))
    batch = encoder.batch(examples, CPU)
    assert batch.rows.tolist() == [0, 0, 1, 1]
    assert torch.allclose(batch.targets, torch.tensor([0.5, 0.9, 0.5, 0.1]))
    for row, example in enumerate(examples):
        tokens, ends = encode_segments(encoder.tokenizer, example.segments)
        last = int(batch.inputs["attention_mask"][row].sum())
        expected = [last - len(tokens) + end for end in ends]
        assert batch.columns[batch.rows == row].tolist() == expected
