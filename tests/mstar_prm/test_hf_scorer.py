"""Scores are those of one full forward pass for each response, on three architectures with random weights."""

import asyncio
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image

from architectures import ARCHITECTURES, idefics3, plain_inputs
from mstar.errors import InvalidInput, TooLarge, Unavailable
from mstar_models.encoding import EncodedPrompt, PromptEncoder, encode_segments, encode_text
from mstar_models.layout import SequenceLayout
from mstar_models.packing import start
from mstar_models.spelling import cut
from mstar_prm.hf_scorer import HfScorer, Scores, _Job, _Served
from mstar_prm.prefixes import Prefixes, digest
from mstar_prm.schemes.label_tokens import LabelTokens

RESPONSES = (
    ("A is 3", "Sum: 3 + 4 = 7", "## Answer\n\n7"),
    ("A is 3", "Sum: 3 + 4 = 8", "## Answer\n\n8"),
    ("A is 3", "Sum: 3 + 4 = 7", "## Answer\n\n7"),
    ("It looks like 7", "## Answer\n\n7"),
    ("## Answer\n\n7",),
)


@pytest.fixture(params=ARCHITECTURES, ids=lambda make: make.__name__)
def served(request: pytest.FixtureRequest) -> _Served:
    torch.manual_seed(3)
    make: Callable[[], tuple[Any, PromptEncoder]] = request.param
    model, prompts = make()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4 if weight.dim() > 1 else 1)
    return _Served("v@1", "v", model.eval(), SequenceLayout(model), LabelTokens(prompts), 256, Prefixes(1 << 20))


def prompts_of(served: _Served) -> PromptEncoder:
    assert isinstance(served.scheme, LabelTokens)
    return served.scheme.prompts


def one_by_one(served: _Served, image: Image.Image) -> list[list[float]]:
    """A whole forward pass for each response, by the model's own means."""
    found = []
    prompt = prompts_of(served).encode("How many?", [image])
    for response in RESPONSES:
        ids, ends = encode_segments(prompts_of(served).processor.tokenizer, response)
        with torch.inference_mode():
            logits = served.model(**plain_inputs(prompt, ids)).logits[0]
        assert isinstance(served.scheme, LabelTokens)
        pair = logits[[len(prompt.input_ids) + end - 1 for end in ends]][:, list(served.scheme.labels)]
        found.append(pair.softmax(-1)[:, 0].tolist())
    return found


def results_of(scorer: HfScorer, jobs: Sequence[_Job]) -> list[list[Scores] | Exception]:
    """What a batch comes to, in the order of its jobs."""
    return [result for _, result in sorted(scorer._score(jobs), key=lambda one: one[0])]


def test_sampled_tokens_are_scored_as_they_are(served: _Served, tmp_path: Any) -> None:
    scorer = HfScorer(tmp_path, batch_tokens=4096, waiting_tokens=100_000)
    scorer._served = served
    image = Image.new("RGB", (64, 64), (10, 120, 200))
    ids, ends = encode_segments(prompts_of(served).processor.tokenizer, RESPONSES[0])
    one_token = (tuple(ids), (), ())
    # A model may have more rows than its tokenizer has tokens, and sample them.
    strange: Any = ((served.model.config.get_text_config().vocab_size,),)

    async def ask() -> list[tuple[float, ...]]:
        try:
            with pytest.raises(InvalidInput, match="is not a token that this model's policy samples") as refused:
                await scorer.score("How many?", [image], [RESPONSES[0], strange], None)
            assert refused.value.field == "responses.1"
            asked: Any = [RESPONSES[0], tuple(cut(ids, ends)), one_token]
            return (await scorer.score("How many?", [image], asked, None))[1]
        finally:
            await scorer.close()

    text, sampled, together = asyncio.run(ask())
    assert sampled == pytest.approx(text, abs=1e-6)
    assert together == pytest.approx([text[-1]] * 3, abs=1e-6)


@pytest.mark.parametrize("batch_tokens", [4096, 60])
def test_scores_equal_full_forward_passes(served: _Served, batch_tokens: int, tmp_path: Any) -> None:
    scorer = HfScorer(tmp_path, batch_tokens=batch_tokens, waiting_tokens=100_000)
    scorer._served = served
    image = Image.new("RGB", (64, 64), (10, 120, 200))

    async def ask() -> list[tuple[float, ...]]:
        try:
            return (await scorer.score("How many?", [image], RESPONSES, None))[1]
        finally:
            await scorer.close()

    scores, expected = asyncio.run(ask()), one_by_one(served, image)
    assert len({round(value, 3) for row in expected for value in row}) > 5
    for row, reference in zip(scores, expected, strict=True):
        assert row == pytest.approx(reference, abs=1e-5)
    if batch_tokens == 4096:
        prompt = len(prompts_of(served).encode("How many?", [image]).input_ids)
        own = [len(encode_segments(prompts_of(served).processor.tokenizer, one)[0]) for one in RESPONSES]
        assert scorer.work.images == 1
        assert scorer.work.tokens < prompt + sum(own) - own[2] - 3


def test_a_question_that_comes_back_costs_its_responses_only(served: _Served, tmp_path: Any) -> None:
    scorer = HfScorer(tmp_path, batch_tokens=4096, waiting_tokens=100_000)
    scorer._served = served
    pictures = [Image.new("RGB", (64, 64), (shade, 120, 200)) for shade in (10, 250)]

    async def ask() -> tuple[list[tuple[float, ...]], list[int]]:
        try:
            for picture in pictures:
                await scorer.score("How many?", [picture], RESPONSES[:1], None)
            before = scorer.work.tokens
            # Both at once, with other responses, and one of them twice.
            asked = [scorer.score("How many?", [picture], RESPONSES, None) for picture in (*pictures, pictures[0])]
            replies = await asyncio.gather(*asked)
            for row, again in zip(replies[0][1], replies[2][1], strict=True):
                assert row == pytest.approx(again, abs=1e-6)
            return [*replies[0][1], *replies[1][1]], [before, scorer.work.tokens]
        finally:
            await scorer.close()

    scores, (before, after) = asyncio.run(ask())
    expected = [row for picture in pictures for row in one_by_one(served, picture)]
    for row, reference in zip(scores, expected, strict=True):
        assert row == pytest.approx(reference, abs=1e-5)
    own = [len(encode_segments(prompts_of(served).processor.tokenizer, one)[0]) for one in RESPONSES]
    assert after - before < 3 * sum(own), "no prompt was computed again"
    assert (scorer.work.images, scorer.work.known_prompts) == (2, 3)


def test_the_same_new_question_from_two_callers_is_read_once(served: _Served, tmp_path: Any) -> None:
    scorer = HfScorer(tmp_path, batch_tokens=4096, waiting_tokens=100_000)
    scorer._served = served
    image = Image.new("RGB", (64, 64), (10, 120, 200))

    async def ask() -> None:
        try:
            await asyncio.gather(*(scorer.score("How many?", [image], [one], None) for one in RESPONSES))
        finally:
            await scorer.close()

    asyncio.run(ask())
    assert scorer.work.images == 1


def test_requests_of_about_one_length_share_a_pass_and_a_long_one_pads_none(served: _Served, tmp_path: Any) -> None:
    scorer = HfScorer(tmp_path, batch_tokens=4096, waiting_tokens=100_000)
    many = [("A is 3", f"Sum: 3 + 4 = {place}", "## Answer\n\n7") for place in range(30)]
    jobs = []
    for shade, responses in ((10, list(RESPONSES[:1])), (90, many), (170, list(RESPONSES[1:2]))):
        image = Image.new("RGB", (64, 64), (shade, 120, 200))
        prompt, groups = scorer._packed(served, "How many?", [image], responses)
        jobs += [_Job(served, prompt, packed, digest(prompt)) for packed in groups]
    short, long, other = (len(job.packed.ids) for job in jobs)
    assert max(short, other) * 1.5 < long and 3 * long < 4096, "they would fit in one pass"

    together = results_of(scorer, jobs)
    assert scorer.work.forwards == 2
    alone = [results_of(scorer, [replace(job, served=replace(served, prefixes=Prefixes(0)))])[0] for job in jobs]
    asyncio.run(scorer.close())
    for found, expected in zip(together, alone, strict=True):
        assert isinstance(found, list) and isinstance(expected, list)
        for row, reference in zip(found, expected, strict=True):
            assert row == pytest.approx(reference, abs=1e-5)


def test_images_of_several_shapes_are_scored_together(tmp_path: Any) -> None:
    torch.manual_seed(3)
    model, prompts = idefics3()
    served = _Served("v@1", "v", model.eval(), SequenceLayout(model), LabelTokens(prompts), 256, Prefixes(0))
    scorer = HfScorer(tmp_path, batch_tokens=4096, waiting_tokens=100_000)
    jobs = []
    for tiles in (1, 2, 1):
        prompt = prompts.encode("How many?", [Image.new("RGB", (64, 64))])
        wide = {name: torch.cat([value] * tiles, dim=1) for name, value in prompt.pixels.items()}
        # As large images are: several tiles, each with its place holders.
        ids = [one for one in prompt.input_ids for _ in range(tiles if one == model.config.image_token_id else 1)]
        tiled = EncodedPrompt(ids, wide)
        packed = start(ids, None)
        for response in RESPONSES[:2]:
            tokens, ends = encode_segments(prompts.processor.tokenizer, response)
            packed.add(cut(tokens, ends))
        jobs.append(_Job(served, tiled, packed, bytes([len(jobs)])))
    together = results_of(scorer, jobs)
    assert scorer.work.forwards == 2
    for found, job in zip(together, jobs, strict=True):
        (alone,) = results_of(scorer, [job])
        assert isinstance(found, list) and isinstance(alone, list)
        assert [list(row) for row in found] == [pytest.approx(row, abs=1e-5) for row in alone]
    asyncio.run(scorer.close())


def test_many_callers_at_once_get_the_scores_of_one_after_the_other(served: _Served, tmp_path: Any) -> None:
    """Texts that spell special tokens are read as plain ones, whatever is encoded beside them."""
    special = [str(token) for token in prompts_of(served).processor.tokenizer.added_tokens_decoder.values()]
    asked = [
        (f"How many {word}?", Image.new("RGB", (64, 64), (shade, 120, 200)), (f"A {word} {shade}", f"so {word}", word))
        for shade, word in enumerate(["<image>", "bars", *special, "</s>", "<end_of_utterance>"] * 2)
    ]

    async def ask(*, together: bool) -> list[tuple[float, ...]]:
        scorer = HfScorer(tmp_path, batch_tokens=4096, waiting_tokens=100_000)
        processor = prompts_of(served).processor
        fresh = PromptEncoder(processor) if type(prompts_of(served)) is PromptEncoder else prompts_of(served)
        scorer._served = replace(served, scheme=LabelTokens(fresh), prefixes=Prefixes(0))
        encode_text.cache_clear()
        calls = [scorer.score(question, [image], [steps], None) for question, image, steps in asked]
        try:
            replies = await asyncio.gather(*calls) if together else [await call for call in calls]
        finally:
            await scorer.close()
        return [scores for _, (scores,) in replies]

    alone, beside = (asyncio.run(ask(together=together)) for together in (False, True))
    for row, reference in zip(beside, alone, strict=True):
        assert row == pytest.approx(reference, abs=1e-5)


def test_equal_requests_get_equal_scores_to_the_last_bit_whatever_waits_beside_them(
    served: _Served, tmp_path: Any
) -> None:
    asked = [(f"How many of {n}?", [steps[: 1 + n % 3] for steps in RESPONSES]) for n in range(12)]
    image = Image.new("RGB", (64, 64), (90, 120, 200))

    async def ask(order: list[int], *, together: bool) -> dict[int, list[tuple[float, ...]]]:
        scorer = HfScorer(tmp_path, batch_tokens=4096, waiting_tokens=100_000, deterministic=True)
        scorer._served = replace(served, prefixes=Prefixes(scorer._prefix_bytes))
        calls = [scorer.score(asked[n][0], [image], asked[n][1], None) for n in order]
        try:
            replies = await asyncio.gather(*calls) if together else [await call for call in calls]
        finally:
            await scorer.close()
        assert scorer.work.forwards == len(order) and scorer.work.known_prompts == 0
        return {n: scores for n, (_, scores) in zip(order, replies, strict=True)}

    places = list(range(len(asked)))
    alone = asyncio.run(ask(places, together=False))
    assert asyncio.run(ask(places[::-1], together=True)) == alone
    assert asyncio.run(ask(places[5:] + places[:5], together=True)) == alone


class HeldPrompts(PromptEncoder):
    """Encodes nothing before it is let, and remembers in which threads it was asked to."""

    def __init__(self, processor: Any) -> None:
        super().__init__(processor)
        self.begun, self.may_go_on = threading.Event(), threading.Event()
        self.threads: list[int] = []

    def encode(self, question: str, images: Sequence[Image.Image], system: str = "") -> EncodedPrompt:
        self.threads.append(threading.get_ident())
        self.begun.set()
        assert self.may_go_on.wait(30)
        return super().encode(question, images, system)


def test_one_thread_encodes_beside_the_event_loop_and_a_sleep_waits_for_it(tmp_path: Any) -> None:
    torch.manual_seed(3)
    model, prompts = idefics3()
    held = HeldPrompts(prompts.processor)

    async def scene() -> None:
        scorer = HfScorer(tmp_path, batch_tokens=4096, waiting_tokens=100_000)
        scorer._served = _Served(
            "v@1", "v", model.eval(), SequenceLayout(model), LabelTokens(held), 256, Prefixes(1 << 20)
        )
        calls = (scorer.score(f"{n}?", [Image.new("RGB", (64, 64))], RESPONSES, None) for n in range(4))
        running = asyncio.gather(*calls)
        assert await asyncio.to_thread(held.begun.wait, 30)
        sleeping = asyncio.ensure_future(scorer.sleep())
        await asyncio.sleep(0.001)
        assert not running.done() and not sleeping.done()
        held.may_go_on.set()
        assert [len(scores) for _, scores in await running] == [len(RESPONSES)] * 4
        await sleeping
        await scorer.close()

    asyncio.run(scene())
    assert len(held.threads) == 4 and len(set(held.threads)) == 1


def test_more_than_could_ever_wait_is_refused_for_good(tmp_path: Any) -> None:
    torch.manual_seed(3)
    model, prompts = idefics3()
    scorer = HfScorer(tmp_path, batch_tokens=64, waiting_tokens=100)
    scorer._served = _Served(
        "v@1", "v", model.eval(), SequenceLayout(model), LabelTokens(prompts), 256, Prefixes(1 << 20)
    )
    many = [("A is 3", f"Sum: 3 + 4 = {place}") for place in range(40)]

    async def ask() -> None:
        try:
            await scorer.score("How many?", [Image.new("RGB", (64, 64))], many, None)
        finally:
            await scorer.close()

    with pytest.raises(TooLarge, match="at most 100 fit in a request"):
        asyncio.run(ask())


def test_a_sleep_ends_what_runs_and_lets_go_of_the_model(tmp_path: Any) -> None:
    torch.manual_seed(3)
    model, prompts = idefics3()
    scorer = HfScorer(tmp_path, batch_tokens=4096, waiting_tokens=100_000)
    scorer._served = _Served(
        "v@1", "v", model.eval(), SequenceLayout(model), LabelTokens(prompts), 256, Prefixes(1 << 20)
    )
    held = weakref.ref(model)
    del model, prompts

    async def scene() -> None:
        image = Image.new("RGB", (64, 64), (10, 120, 200))
        running = asyncio.ensure_future(scorer.score("How many?", [image], RESPONSES, None))
        await asyncio.sleep(0)
        await scorer.sleep()
        assert len((await running)[1]) == len(RESPONSES)
        del running
        assert not scorer.weights().ready
        with pytest.raises(Unavailable):
            await scorer.score("How many?", [image], RESPONSES, None)
        await scorer.sleep()
        await scorer.close()

    asyncio.run(scene())
    assert held() is None, "the memory is free"


ON_GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 48.00 MiB.")
ON_CPU = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 48 bytes.")


@pytest.mark.parametrize(("most", "error"), [(1, ON_GPU), (0, ON_GPU), (1, ON_CPU), (0, ON_CPU)])
def test_a_batch_that_the_memory_does_not_hold_is_scored_in_parts(
    served: _Served, tmp_path: Any, most: int, error: RuntimeError
) -> None:
    """Memory that holds this many questions at a time; without room for one the caller is told what to change."""
    scorer = HfScorer(tmp_path, batch_tokens=4096, waiting_tokens=100_000)
    images = [Image.new("RGB", (64, 64), (10, 120, shade)) for shade in (0, 100, 200)]
    expected = [one_by_one(served, image) for image in images]
    passes = []

    def allocate(module: Any, args: Any, kwargs: Any) -> None:
        passes.append(len(kwargs["input_ids"]))
        if passes[-1] > most:
            raise error

    served.model.base_model.register_forward_pre_hook(allocate, with_kwargs=True)

    jobs = [
        job for image in images for job in scorer._jobs(served, "How many?", [image], list(dict.fromkeys(RESPONSES)))
    ]
    results = results_of(scorer, jobs)
    asyncio.run(scorer.close())
    assert passes[0] == 3
    for found, scores in zip(results, expected, strict=True):
        if most:
            assert isinstance(found, list)
            distinct = [scores[RESPONSES.index(one)] for one in dict.fromkeys(RESPONSES)]
            for got, one in zip(found, distinct, strict=True):
                assert got == pytest.approx(one, abs=1e-5)
        else:
            # A machine's memory is shared, so that the same request may find some the next time.
            assert isinstance(found, TooLarge if error is ON_GPU else Unavailable)
            assert "lower MSTAR_PRM_BATCH_TOKENS" in found.detail
