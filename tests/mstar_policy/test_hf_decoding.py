"""Tests of the decoding loop against transformers' own, and of rows that come and go."""

from pathlib import Path
from typing import Any

import pytest
import torch

from architectures import plain_inputs
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.encoding import PromptEncoder, collate, encode_text
from mstar_models.loading import load_model, load_processor
from mstar_models.special_tokens import suppressed_ids
from mstar_policy.hf_attention import use_grouped_attention
from mstar_policy.hf_decoding import Continuation, Decoder
from mstar_policy.hf_prefill import PromptPrefix
from mstar_policy.hf_sampling import Draw
from policy_bench import picture

QUESTIONS = ("How many bars are there?", "What is the sum of the first and the second bar?", "Which is best?")


@pytest.fixture
def folder(store: ArtefactStore, warm: ArtefactRef) -> Path:
    return store.path(warm.id) / "model"


@pytest.fixture
def processor(folder: Path) -> Any:
    return load_processor(folder)


@pytest.fixture
def model(folder: Path) -> Any:
    model = load_model(folder)
    use_grouped_attention(model)
    return model


def prompt_prefixes(processor: Any, *, n: int, temperature: float, max_tokens: int = 16) -> list[PromptPrefix]:
    encoder = PromptEncoder(processor)
    prefixes = ("", "There are three bars.\n\n", "So")
    return [
        PromptPrefix(
            encoder.encode(question, [picture(40 * place)]),
            tuple(encode_text(processor.tokenizer, prefixes[place])),
            [Draw(place, index, temperature, 1.0, max_tokens) for index in range(n)],
        )
        for place, question in enumerate(QUESTIONS)
    ]


def run(decoder: Decoder, todo: list[PromptPrefix]) -> list[list[Continuation]]:
    """Samples of prefixes that share nothing."""
    return [samples for drawn in decoder.run([[prefix] for prefix in todo]) for samples in drawn.samples]


def test_greedy_decoding_is_that_of_transformers(folder: Path, processor: Any, model: Any) -> None:
    todo = prompt_prefixes(processor, n=2, temperature=0)
    suppressed = suppressed_ids(processor.tokenizer)
    stop = processor.tokenizer.eos_token_id
    found = run(Decoder(model, [stop], suppressed), todo)
    inputs = collate([(prefix.prompt, prefix.response) for prefix in todo], side="left")
    reference = load_model(folder).generate(
        **inputs, do_sample=False, max_new_tokens=16, eos_token_id=stop, suppress_tokens=suppressed
    )[:, inputs["input_ids"].shape[1] :]
    for samples, row in zip(found, reference.tolist(), strict=True):
        ids = row[: row.index(stop) + 1] if stop in row else row
        assert [list(sample.token_ids) for sample in samples] == [ids, ids]


def generated(model: Any, prefix: PromptPrefix) -> tuple[tuple[int, ...], list[float]]:
    """What transformers' own greedy search makes of a prefix: tokens and their log-probabilities."""
    model.generation_config.eos_token_id = None
    inputs = plain_inputs(prefix.prompt, list(prefix.response))
    made = model.generate(
        **inputs, do_sample=False, max_new_tokens=12, pad_token_id=0, return_dict_in_generate=True, output_logits=True
    )
    ids = made.sequences[0, len(prefix) :]
    logprobs = torch.stack(made.logits)[:, 0].log_softmax(dim=1).gather(1, ids[:, None])[:, 0]
    return tuple(ids.tolist()), logprobs.tolist()


def test_greedy_decoding_is_that_of_every_architecture(random_model: tuple[Any, PromptEncoder]) -> None:
    model, prompts = random_model
    todo = [
        PromptPrefix(
            prompts.encode("How many?", [picture(90 * place)]), tuple(range(9, 9 + 5 * place)), [Draw(0, 0, 0, 1, 12)]
        )
        for place in range(3)
    ]
    expected = [generated(model, prefix) for prefix in todo]
    assert len({ids for ids, _ in expected}) == 3
    use_grouped_attention(model)
    for (sample,), (ids, logprobs) in zip(run(Decoder(model, [], []), todo), expected, strict=True):
        assert sample.token_ids == ids
        assert sample.logprobs == pytest.approx(logprobs, abs=1e-4)


def test_weights_of_half_the_size_give_about_the_same(random_model: tuple[Any, PromptEncoder]) -> None:
    model, prompts = random_model
    with torch.no_grad():
        for weight in model.parameters():
            weight.div_(4 if weight.dim() > 1 else 1)
    draws = [Draw(1, index, 1.0, 1.0, 8) for index in range(3)]
    todo = [PromptPrefix(prompts.encode("How many?", [picture()]), tuple(range(9, 9 + n)), draws) for n in (0, 3)]
    use_grouped_attention(model)
    whole = run(Decoder(model, [], []), todo)
    half = run(Decoder(model.to(torch.bfloat16), [], []), todo)
    first = [[[sample.logprobs[0] for sample in samples] for samples in run] for run in (whole, half)]
    assert first[1] == [pytest.approx(logprobs, abs=0.1) for logprobs in first[0]]


def test_log_probabilities_are_those_of_a_full_forward_pass(processor: Any, model: Any) -> None:
    prefix = prompt_prefixes(processor, n=3, temperature=0.8)[1]
    for sample in run(Decoder(model, [processor.tokenizer.eos_token_id], []), [prefix])[0]:
        inputs = collate([(prefix.prompt, (*prefix.response, *sample.token_ids))], side="right")
        with torch.inference_mode():
            logits = model(**inputs).logits[0, len(prefix) - 1 : -1]
        steps = (logits / 0.8).log_softmax(dim=1).gather(1, torch.tensor(sample.token_ids)[:, None])
        assert sum(sample.logprobs) == pytest.approx(float(steps.sum()), abs=1e-3)


def test_rows_that_leave_the_batch_change_nothing_for_the_others(processor: Any, model: Any) -> None:
    # A quarter of the vocabulary ends a response here, so rows leave at every step.
    decoder = Decoder(model, range(60, 140), suppressed_ids(processor.tokenizer))
    together = run(decoder, prompt_prefixes(processor, n=16, temperature=1.0))
    lengths = {len(sample.token_ids) for samples in together for sample in samples}
    assert len(lengths) > 4
    for place, samples in enumerate(together):
        alone = run(decoder, [prompt_prefixes(processor, n=16, temperature=1.0)[place]])[0]
        assert [s.token_ids for s in alone] == [s.token_ids for s in samples]
        assert [sum(s.logprobs) for s in alone] == pytest.approx([sum(s.logprobs) for s in samples], abs=1e-3)


def test_limits_hold_row_by_row(processor: Any, model: Any) -> None:
    prefix = prompt_prefixes(processor, n=1, temperature=1.0)[0]
    prefix.draws[:] = [Draw(1, index, 1.0, 1.0, limit) for index, limit in enumerate((1, 7, 3))]
    samples = run(Decoder(model, [], []), [prefix])[0]
    assert [(len(sample.token_ids), sample.stopped) for sample in samples] == [(1, False), (7, False), (3, False)]


def test_special_tokens_are_never_sampled(processor: Any, model: Any) -> None:
    suppressed = suppressed_ids(processor.tokenizer)
    with torch.no_grad():
        model.lm_head.weight[suppressed] *= 3

    def sampled(without: list[int], temperature: float) -> set[int]:
        found = run(Decoder(model, [], without), prompt_prefixes(processor, n=16, temperature=temperature))
        return {token for samples in found for sample in samples for token in sample.token_ids}

    for temperature in (0.0, 2.0):
        assert not sampled(suppressed, temperature) & set(suppressed)
    assert sampled([], 2.0) & set(suppressed)


def test_stopping_is_told_from_running_out(processor: Any, model: Any) -> None:
    prefix = prompt_prefixes(processor, n=32, temperature=1.0, max_tokens=3)[0]
    samples: list[Continuation] = run(Decoder(model, range(60, 140), []), [prefix])[0]
    for sample in samples:
        assert sample.stopped == (60 <= sample.token_ids[-1] < 140)
        assert sample.stopped or len(sample.token_ids) == 3
    assert {sample.stopped for sample in samples} == {True, False}
