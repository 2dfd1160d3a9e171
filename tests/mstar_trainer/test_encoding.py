"""The places that are scored: response tokens and end of turn for the policy, ends of steps for the PRM."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from mstar.errors import InvalidDataset
from mstar.prompts import PRESETS, PromptPreset
from mstar.types import SampledTokens
from mstar_models.attention import dense_mask
from mstar_models.encoding import encode_segments
from mstar_models.loading import load_model
from mstar_models.spelling import vocabulary_digest
from mstar_trainer.batches import grouped, prm_examples, sft_examples
from mstar_trainer.encoding import ExampleEncoder, Tree, micro_batches
from mstar_trainer.loss import MicroBatch
from trainer_bench import MODEL, Bench

PLAIN = PRESETS[PromptPreset.MINIVISTA]

CPU = torch.device("cpu")
ROOMY = 10_000


@pytest.fixture
def encoder(bench: Bench) -> ExampleEncoder:
    return ExampleEncoder(MODEL, bench.home, load_model(MODEL))


def seen(batch: MicroBatch) -> Iterator[tuple[list[int], float]]:
    """For each scored place: the tokens that it sees, and its target."""
    ids = batch.inputs["input_ids"]
    mask = dense_mask(batch.inputs["spans"], ids.shape[1])
    for row, column, target in zip(batch.rows, batch.columns, batch.targets, strict=True):
        yield ids[row, mask[row, 0, column]].tolist(), target.item()


def test_every_response_token_and_the_end_are_predicted_from_all_before(bench: Bench, encoder: ExampleEncoder) -> None:
    group = tuple(sft_examples(bench.of_one_question(3), PLAIN))
    (tree,) = encoder.trees([group], ROOMY)
    (batch,) = micro_batches([tree], ROOMY, CPU)
    expected = []
    for example in group:
        tokens, _ = encode_segments(encoder.tokenizer, example.segments)
        for place, token in enumerate([*tokens, encoder.tokenizer.eos_token_id]):
            expected.append((tree.prompt.input_ids + tokens[:place], token))
    assert list(seen(batch)) == expected
    assert len(tree.packed.ids) < len(tree.prompt.input_ids) + len(expected), "the opening that all share is there once"


def test_a_separator_of_the_recipe_stands_between_the_steps_that_are_trained(
    bench: Bench, encoder: ExampleEncoder
) -> None:
    form = PLAIN.model_copy(update={"step_separator": "\n"})
    (row,) = bench.selected(1)
    (example,) = sft_examples([row.model_copy(update={"response": "A is 3\nB is 4\n\n## Answer\n\n7"})], form)
    assert example.segments == ("A is 3", "B is 4", "## Answer\n\n7")
    (tree,) = encoder.trees([(example,)], ROOMY)
    spelled = encoder.tokenizer.decode(tree.packed.ids[len(tree.prompt.input_ids) :])
    assert spelled.startswith("A is 3\nB is 4\n## Answer\n\n7")
    (label,) = bench.labelled(1)
    (judged,) = prm_examples([label], "\n")
    (tree,) = encoder.trees([(judged,)], ROOMY)
    assert encoder.tokenizer.decode(tree.packed.ids[len(tree.prompt.input_ids) :]) == "\n".join(label.completions)


def test_what_was_sampled_is_trained_token_by_token(bench: Bench, encoder: ExampleEncoder) -> None:
    """Also where its text would become other tokens, and with the end of the turn that was sampled."""
    step = [encoder.tokenizer.convert_tokens_to_ids(piece) for piece in ("a", "n", "\n", "\n")]
    assert encode_segments(encoder.tokenizer, ("an", "7"))[0][:2] != step[:2]
    other_end = encoder.tokenizer.convert_tokens_to_ids("<s>")
    ids = (*step, encoder.tokenizer.convert_tokens_to_ids("7"), other_end)
    sampled = SampledTokens(ids=ids, ends=(4, 5), vocabulary=vocabulary_digest(encoder.tokenizer))
    (row,) = bench.selected(1)
    row = row.model_copy(update={"response": "an\n\n7", "tokens": sampled})
    (tree,) = encoder.trees(grouped(sft_examples([row], PLAIN)), ROOMY)
    assert tree.targets == list(ids)
    assert tree.packed.ids[len(tree.prompt.input_ids) :] == list(ids)
    label = bench.labelled(1)[0].model_copy(update={"tokens": sampled})
    (tree,) = encoder.trees(grouped(prm_examples([label])), ROOMY)
    assert tree.packed.ids[len(tree.prompt.input_ids) :] == list(ids[:-1])
    assert tree.columns == [len(tree.prompt.input_ids) + 3, len(tree.prompt.input_ids) + 4]


def test_tokens_of_another_vocabulary_give_way_to_the_text(bench: Bench, encoder: ExampleEncoder) -> None:
    (row,) = bench.selected(1)
    strange = SampledTokens(ids=(1, 2, 3), ends=(1, 2, 3), vocabulary="another")
    (tree,) = encoder.trees(grouped(sft_examples([row.model_copy(update={"tokens": strange})], PLAIN)), ROOMY)
    (plain,) = encoder.trees(grouped(sft_examples([row], PLAIN)), ROOMY)
    assert tree.targets == plain.targets


def test_steps_that_end_together_are_scored_at_one_place(bench: Bench, encoder: ExampleEncoder) -> None:
    ids = tuple(encode_segments(encoder.tokenizer, ("an", "7"))[0])
    sampled = SampledTokens(ids=ids, ends=(len(ids), len(ids)), vocabulary=vocabulary_digest(encoder.tokenizer))
    row = bench.labelled(1)[0].model_copy(update={"tokens": sampled})
    (tree,) = encoder.trees(grouped(prm_examples([row])), ROOMY)
    assert tree.columns == [len(tree.packed.ids) - 1] * 2
    selected = bench.selected(1)[0].model_copy(update={"tokens": sampled})
    (tree,) = encoder.trees(grouped(sft_examples([selected], PLAIN)), ROOMY)
    assert tree.targets == list(ids)


def test_a_row_with_other_ends_than_labels_is_refused(bench: Bench) -> None:
    sampled = SampledTokens(ids=(1, 2, 3), ends=(1, 2, 3), vocabulary="v")
    with pytest.raises(InvalidDataset, match="3 ends of steps and 2 labels"):
        prm_examples([bench.labelled(1)[0].model_copy(update={"tokens": sampled})])


def test_steps_are_scored_at_their_last_token(bench: Bench, encoder: ExampleEncoder) -> None:
    examples = prm_examples(bench.labelled(2))
    (batch,) = micro_batches(encoder.trees(grouped(examples), ROOMY), ROOMY, CPU)
    expected = []
    for example in examples:
        prompt = encoder.trees([(example,)], ROOMY)[0].prompt.input_ids
        tokens, ends = encode_segments(encoder.tokenizer, example.segments)
        expected += [prompt + tokens[:end] for end in ends]
    assert sorted(tokens for tokens, _ in seen(batch)) == sorted(expected)
    assert torch.allclose(batch.targets.sort().values, torch.tensor([0.1, 0.5, 0.5, 0.9]))


def test_the_prompt_does_not_hold_the_reference_answer(bench: Bench, encoder: ExampleEncoder) -> None:
    row = bench.selected(1)[0]
    answer = row.question.answer
    assert answer is not None
    other = row.question.model_copy(update={"answer": answer.model_copy(update={"value": "8"})})
    changed = row.model_copy(update={"question": other})
    first, second = (encoder.trees(grouped(sft_examples([one], PLAIN)), ROOMY)[0].packed.ids for one in (row, changed))
    assert first == second


def test_a_tree_beyond_the_budget_is_cut_between_responses(bench: Bench, encoder: ExampleEncoder) -> None:
    group = tuple(sft_examples(bench.of_one_question(6), PLAIN))
    (whole,) = encoder.trees([group], ROOMY)
    cut = encoder.trees([group], len(whole.packed.ids) - 1)
    assert len(cut) == 2 and all(len(tree.packed.ids) < len(whole.packed.ids) for tree in cut)
    assert [target for tree in cut for target in tree.targets] == whole.targets
    assert len(encoder.trees([group], 1)) == 6, "a response that fits nowhere has a tree of its own"


def test_micro_batches_keep_to_the_budget_and_put_like_lengths_together(bench: Bench, encoder: ExampleEncoder) -> None:
    trees = encoder.trees(grouped(sft_examples(bench.selected(12), PLAIN)), ROOMY)
    budget = 3 * max(len(tree.packed.ids) for tree in trees)
    batches = micro_batches(trees, budget, CPU)
    assert sum(len(batch.images) for batch in batches) == len(trees)
    assert all(batch.inputs["input_ids"].numel() <= budget for batch in batches)
    widths = [batch.inputs["input_ids"].shape[1] for batch in batches]
    assert widths == sorted(widths) and len(batches) < len(trees)
    assert micro_batches(trees[:1], 1, CPU)[0].images[0][0] == trees[0].images


def test_a_response_without_text_teaches_to_end(encoder: ExampleEncoder, bench: Bench) -> None:
    row = bench.selected(1)[0].model_copy(update={"response": ""})
    (tree,) = encoder.trees(grouped(sft_examples([row], PLAIN)), ROOMY)
    assert isinstance(tree, Tree)
    assert (tree.targets, tree.columns) == ([encoder.tokenizer.eos_token_id], [len(tree.prompt.input_ids) - 1])


def test_images_of_several_shapes_are_batched_apart(bench: Bench, encoder: ExampleEncoder) -> None:
    trees = encoder.trees(grouped(sft_examples(bench.selected(3), PLAIN)), ROOMY)
    # As large images are: several tiles.
    wide = {name: torch.cat([value, value], dim=1) for name, value in trees[1].prompt.pixels.items()}
    trees[1].prompt = replace(trees[1].prompt, pixels=wide)
    alone, together = micro_batches(trees, ROOMY, CPU)
    if len(alone.images) == 2:
        alone, together = together, alone
    assert [len(batch.images) for batch in (alone, together)] == [1, 2]
    assert alone.images[0][0] == trees[1].images
