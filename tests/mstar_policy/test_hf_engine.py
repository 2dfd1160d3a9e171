"""Tests of what the transformers engine does beyond the conformance suite: its queue, its batches, its prefixes."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from mstar.api.policy import RolloutReply
from mstar.errors import InvalidInput, Unavailable
from mstar.layout import scored_segments
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.encoding import PromptEncoder, collate, encode_text
from mstar_models.loading import load_model, load_processor
from mstar_models.special_tokens import suppressed_ids
from mstar_policy.engine import Delta
from mstar_policy.hf_decoding import Continuation, Decoder, Drawn
from mstar_policy.hf_engine import HfEngine
from mstar_policy.hf_prefill import PromptPrefix
from policy_bench import generate, picture, prompt, request, texts


class Fussy(Decoder):
    """A decoder that fails, or gives samples without tokens' text, where a seed is among the draws."""

    def __init__(self, whole: Decoder, failing: int, unreadable: int) -> None:
        super().__init__(whole.model, whole._stop.tolist(), whole._suppressed.tolist(), whole.limits)
        self._failing, self._unreadable = failing, unreadable

    def run(
        self, prompts: Sequence[Sequence[PromptPrefix]], is_abandoned: Callable[[], bool] = lambda: False
    ) -> list[Drawn]:
        seeds = [[draw.seed for prefix in prefixes for draw in prefix.draws] for prefixes in prompts]
        found = super().run(prompts, is_abandoned)
        if any(self._failing in own for own in seeds):
            raise RuntimeError("out of memory")
        odd = [[Continuation((-1,), (0.0,), False)]]
        return [Drawn(odd, 1) if self._unreadable in own else one for own, one in zip(seeds, found, strict=True)]


def play(engine: HfEngine, ref: ArtefactRef, scene: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        try:
            await engine.load(ref)
            await scene()
        finally:
            await engine.close()

    asyncio.run(run())


def test_work_that_waits_is_dropped_when_it_is_cancelled(store: ArtefactStore, warm: ArtefactRef) -> None:
    engine = HfEngine(store)

    async def scene() -> None:
        busy = asyncio.ensure_future(generate(engine, request(prompt(n=64), max_tokens=100), [picture()]))
        await asyncio.sleep(0.05)
        waiting = [
            asyncio.ensure_future(generate(engine, request(prompt(question)), [picture()]))
            for question in ("Is it gone?", "Is it kept?")
        ]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.gather(busy, waiting[1])
        assert engine._loaded is not None
        encoded = " ".join(text for text, _ in engine._loaded.encoder._cache)
        assert "Is it kept?" in encoded and "Is it gone?" not in encoded

    play(engine, warm, scene)


def test_work_under_way_ends_with_the_next_token_when_it_is_cancelled(store: ArtefactStore, warm: ArtefactRef) -> None:
    engine = HfEngine(store)

    async def scene() -> None:
        assert engine._loaded is not None
        passes = 0

        def count(*_: object) -> None:
            nonlocal passes
            passes += 1

        engine._loaded.decoder.model.register_forward_pre_hook(count)
        busy = asyncio.ensure_future(generate(engine, request(prompt(n=64), max_tokens=200), [picture()]))
        while passes < 3:
            await asyncio.sleep(0.01)
        busy.cancel()
        await asyncio.gather(busy, return_exceptions=True)
        at_the_end = passes
        await generate(engine, request(prompt("Is it free?"), max_tokens=2), [picture()])
        # One that was under way, and those of the new request.
        assert passes <= at_the_end + 5

    play(engine, warm, scene)


@pytest.mark.parametrize(("rows", "cache_bytes"), [(1, 1 << 30), (5, 1 << 30), (512, 1), (512, 1 << 30)])
def test_limits_of_a_batch_change_no_sample(
    store: ArtefactStore, warm: ArtefactRef, rows: int, cache_bytes: int
) -> None:
    asked = request(
        *(prompt(f"What is {n} and {n}?", n=3, seed=n) for n in range(4)),
        *(prompt(n=3, prefix=prefix) for prefix in ("So", "So one.\n\n", "", "So one.\n\nTwo.\n\n")),
    )
    images = [*(picture(place) for place in range(4)), *[picture()] * 4]
    usual, narrow = HfEngine(store), HfEngine(store, batch_rows=rows, cache_bytes=cache_bytes)
    found: list[list[list[str]]] = []

    async def scene(engine: HfEngine) -> None:
        replies = await asyncio.gather(*(generate(engine, asked, images) for _ in range(2)))
        found.extend(texts(reply) for reply in replies)

    play(usual, warm, lambda: scene(usual))
    play(narrow, warm, lambda: scene(narrow))
    assert found == [found[0]] * 4


def test_prompts_that_differ_in_sampling_only_are_computed_once(store: ArtefactStore, warm: ArtefactRef) -> None:
    engine = HfEngine(store)

    async def scene() -> None:
        one = await generate(engine, request(prompt()), [picture()])
        sweep = request(*(prompt(temperature=t / 10, n=2, seed=t) for t in range(3, 17)))
        reply = await generate(engine, sweep, [picture()] * 14)
        assert reply.usage.prompt_tokens == one.usage.prompt_tokens
        assert reply.usage.images_encoded == 1

    play(engine, warm, scene)


def test_prefixes_of_a_question_are_computed_behind_one_prompt(store: ArtefactStore, warm: ArtefactRef) -> None:
    prefixes = ("", "One bar.\n\n", "One bar.\n\nTwo bars.\n\n", "Two bars.\n\n")
    asked = request(*(prompt(prefix=prefix, n=2, seed=place) for place, prefix in enumerate(prefixes)))
    together, narrow = HfEngine(store), HfEngine(store, cache_bytes=1)
    found: list[RolloutReply] = []

    async def scene(engine: HfEngine) -> None:
        found.append(await generate(engine, asked, [picture()] * 4))

    play(together, warm, lambda: scene(together))
    play(narrow, warm, lambda: scene(narrow))
    assert texts(found[0]) == texts(found[1])
    shared, each = (reply.usage for reply in found)
    assert (shared.images_encoded, each.images_encoded) == (1, 4), "without memory nothing is kept to be shared"
    assert shared.prompt_tokens < each.prompt_tokens / 2


def test_one_bad_request_fails_alone(store: ArtefactStore, warm: ArtefactRef) -> None:
    engine = HfEngine(store)

    async def scene() -> None:
        long = request(prompt("total " * 600))
        replies = await asyncio.gather(
            generate(engine, request(prompt()), [picture()]),
            generate(engine, long, [picture()]),
            generate(engine, request(prompt()), [picture()]),
            return_exceptions=True,
        )
        assert isinstance(replies[1], InvalidInput)
        assert replies[1].field == "prompts.0"
        assert not isinstance(replies[0], BaseException)
        assert not isinstance(replies[2], BaseException)

    play(engine, warm, scene)


def test_a_response_ends_at_the_latest_where_the_context_does(store: ArtefactStore, warm: ArtefactRef) -> None:
    engine = HfEngine(store)

    async def scene() -> None:
        asked = request(prompt("total " * 440), max_tokens=500)
        reply = await generate(engine, asked, [picture()])
        assert reply.usage.prompt_tokens + reply.usage.completion_tokens <= 512

    play(engine, warm, scene)


def test_a_model_whose_layers_see_a_window_is_sampled_beyond_it(store: ArtefactStore, warm: ArtefactRef) -> None:
    """The window is narrower than the prompt; `generate` of transformers is the reference."""
    engine = HfEngine(store)
    folder = store.path(warm.id) / "model"
    told = json.loads((folder / "config.json").read_text())
    # Llama's layers with Mistral's window: the tensors have the same names.
    told["text_config"] |= {"model_type": "mistral", "sliding_window": 60}
    found = []

    async def scene() -> None:
        (folder / "config.json").write_text(json.dumps(told))
        await engine.load_folder(folder)
        for text in ("How many?", "total " * 60):
            asked = request(*[prompt(text, temperature=0, prefix=start) for start in ("", "total")], max_tokens=9)
            found.extend((await generate(engine, asked, [picture()] * 2)).samples)

    play(engine, warm, scene)
    model, processor = load_model(folder), load_processor(folder)
    encoder = PromptEncoder(processor)
    expected = []
    for text in ("How many?", "total " * 60):
        encoded = encoder.encode(text, [picture()])
        for prefix in ("", "total"):
            inputs = collate([(encoded, encode_text(processor.tokenizer, prefix))], "left")
            width = inputs["input_ids"].shape[1]
            made = model.generate(
                **inputs, do_sample=False, max_new_tokens=9, suppress_tokens=suppressed_ids(processor.tokenizer)
            )
            expected.append(made[0, width:].tolist())
    assert [list(sample.token_ids) for (sample,) in found] == expected


def test_special_tokens_in_a_prefix_are_read_as_characters(store: ArtefactStore, warm: ArtefactRef) -> None:
    engine = HfEngine(store)

    async def scene() -> None:
        plain = await generate(engine, request(prompt(), max_tokens=1), [picture()])
        odd = await generate(engine, request(prompt(prefix="<image> <image>\n\n"), max_tokens=1), [picture()])
        # As one token each they would be two, and the model would look for three pictures.
        assert odd.usage.prompt_tokens - plain.usage.prompt_tokens > 4

    play(engine, warm, scene)


async def taken(engine: HfEngine) -> None:
    """Return when what was asked for before is under way."""
    await asyncio.sleep(0)
    while engine._waiting:
        await asyncio.sleep(0)


def test_a_failure_is_answered_to_the_one_whose_request_it_is(store: ArtefactStore, warm: ArtefactRef) -> None:
    engine = HfEngine(store)

    async def scene() -> None:
        expected = texts(await generate(engine, request(prompt(seed=1)), [picture()]))
        assert engine._loaded is not None
        engine._loaded = replace(engine._loaded, decoder=Fussy(engine._loaded.decoder, failing=2, unreadable=3))
        heard: list[Delta] = []
        busy = asyncio.ensure_future(generate(engine, request(prompt(seed=9, n=64), max_tokens=60), [picture()]))
        await taken(engine)
        together = [
            *(generate(engine, request(prompt(seed=seed)), [picture()]) for seed in range(1, 5)),
            generate(engine, request(prompt(seed=5)), [picture()], heard.append),
        ]
        replies = await asyncio.gather(*together, return_exceptions=True)
        assert [isinstance(reply, Exception) for reply in replies] == [False, True, True, False, True]
        assert texts(replies[0]) == expected
        assert str(replies[1]) == str(replies[4]) == "out of memory" and heard
        await busy
        assert texts(await generate(engine, request(prompt(seed=1)), [picture()])) == expected

    play(engine, warm, scene)


def test_who_waits_when_the_engine_closes_is_told(store: ArtefactStore, warm: ArtefactRef) -> None:
    engine = HfEngine(store)

    async def scene() -> None:
        busy = asyncio.ensure_future(generate(engine, request(prompt(n=64), max_tokens=60), [picture()]))
        await taken(engine)
        waiting = [
            asyncio.ensure_future(work)
            for work in (generate(engine, request(prompt()), [picture()]), engine.load(warm))
        ]
        await asyncio.sleep(0)
        assert engine._waiting and not busy.done()
        await engine.close()
        late = await asyncio.gather(
            *waiting, generate(engine, request(prompt()), [picture()]), engine.sleep(), return_exceptions=True
        )
        assert [type(error) for error in late] == [Unavailable] * 4
        assert "stopping" in str(late[0])
        assert len((await busy).samples[0]) == 64, "what runs is finished"

    play(engine, warm, scene)


def test_a_reply_says_where_steps_end_and_goes_on_from_tokens(store: ArtefactStore, warm: ArtefactRef) -> None:
    engine = HfEngine(store)

    async def scene() -> None:
        (first,) = (await generate(engine, request(prompt(n=6, seed=4), max_tokens=40), [picture()])).samples
        assert engine._loaded is not None
        tokenizer, vocabulary = engine._loaded.tokenizer, engine.vocabulary()
        for one in first:
            assert len(one.step_ends) == len(scored_segments(one.text))
            assert one.step_ends == vocabulary.step_ends(one.token_ids)
        ids = max(first, key=lambda one: len(one.token_ids)).token_ids[:9]
        asked = request(
            prompt(n=2, prefix_ids=ids, seed=1), prompt(n=2, prefix=tokenizer.decode(ids), seed=1), max_tokens=6
        )
        reply = await generate(engine, asked, [picture()] * 2)
        assert reply.vocabulary == vocabulary.digest != ""
        assert all(one.step_ends == () for own in reply.samples for one in own)
        if list(encode_text(tokenizer, tokenizer.decode(ids))) == list(ids):
            assert reply.samples[0] == reply.samples[1]
        image = tokenizer.convert_tokens_to_ids("<image>")
        for strange in (image, len(tokenizer)):
            with pytest.raises(InvalidInput, match="is not a token") as refused:
                await generate(engine, request(prompt(prefix_ids=(strange,))), [picture()])
            assert refused.value.field == "prompts.0.prefix_ids"

    play(engine, warm, scene)
