"""The conformance suite of engines: what `Engine` promises, asked of every adapter."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from mstar.api.policy import RolloutReply, RolloutRequest
from mstar.errors import CorruptArtefact, InvalidInput, NotFound, Unavailable, WeightVersionMismatch
from mstar.steps import ArtefactRef
from mstar.types import FinishReason
from mstar_artefacts.store import ArtefactStore
from mstar_models.chat import Turn
from mstar_policy.engine import Delta, Engine, EnginePrompt, SamplingRequest
from mstar_policy.hf_engine import HfEngine
from policy_bench import FakeEngine, corrupt, generate, picture, prompt, request, texts
from vllm_bench import VLLM_MARKS, StartedVllm

PYTORCH = {"format": "pt"}
ENGINES: dict[str, Callable[[ArtefactStore], Engine]] = {"fake": FakeEngine, "transformers": HfEngine}


@pytest.fixture(params=[*ENGINES, pytest.param("vllm", marks=VLLM_MARKS)])
def make(request: pytest.FixtureRequest, store: ArtefactStore) -> Callable[[], Engine]:
    if request.param == "vllm":
        started: StartedVllm = request.getfixturevalue("started")
        return lambda: started.engine(store)
    return lambda: ENGINES[request.param](store)


def with_engine(
    make: Callable[[], Engine], ref: ArtefactRef | None, scene: Callable[[Engine], Awaitable[None]]
) -> None:
    """Play a scene with a new engine that has the weights of `ref`."""

    async def play() -> None:
        engine = make()
        try:
            if ref is not None:
                await engine.load(ref)
            await scene(engine)
        finally:
            await engine.close()

    asyncio.run(play())


async def sample(engine: Engine, asked: RolloutRequest) -> RolloutReply:
    return await generate(engine, asked, [picture(place) for place in range(len(asked.prompts))])


def test_nothing_is_served_before_the_first_load(make: Callable[[], Engine]) -> None:
    async def scene(engine: Engine) -> None:
        assert not engine.weights().ready
        with pytest.raises(Unavailable):
            await sample(engine, request(prompt()))

    with_engine(make, None, scene)


def test_a_reply_has_every_sample_in_order_and_its_version(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        asked = request(*(prompt(f"Which is number {n}?", n=n, seed=n) for n in (3, 1, 2)))
        reply = await sample(engine, asked)
        assert [len(responses) for responses in reply.samples] == [3, 1, 2]
        assert reply.weight_version == warm.version == engine.weights().weight_version
        counted = sum(len(response.token_ids) for responses in reply.samples for response in responses)
        assert reply.usage.completion_tokens == counted > 0
        assert reply.usage.prompt_tokens > 0
        for responses, item in zip(reply.samples, asked.prompts, strict=True):
            alone = await generate(engine, request(item), [picture(asked.prompts.index(item))])
            assert [response.text for response in alone.samples[0]] == [response.text for response in responses]

    with_engine(make, warm, scene)


def test_samples_follow_from_seed_and_index(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        first = texts(await sample(engine, request(prompt(n=4, seed=7))))[0]
        assert texts(await sample(engine, request(prompt(n=4, seed=7))))[0] == first
        assert texts(await sample(engine, request(prompt(n=2, seed=7))))[0] == first[:2]
        assert texts(await sample(engine, request(prompt(n=4, seed=8))))[0] != first
        assert len(set(first)) == 4

    with_engine(make, warm, scene)


def test_temperature_zero_is_the_same_for_every_seed(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        asked = request(prompt(n=3, seed=1, temperature=0), prompt(n=1, seed=2, temperature=0))
        reply = await generate(engine, asked, [picture(), picture()])
        assert len({response.text for responses in reply.samples for response in responses}) == 1

    with_engine(make, warm, scene)


def test_the_prompt_matters_in_all_its_parts(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        variants = [
            (prompt(), picture(0)),
            (prompt(), picture(200)),
            (prompt("How many books are there?"), picture(0)),
            (prompt("How many bars are there?\n\nReference answer: 17"), picture(0)),
            (prompt(system="Be brief."), picture(0)),
            (prompt(prefix="There are three bars.\n\n"), picture(0)),
            (prompt(temperature=0.5), picture(0)),
        ]
        reply = await generate(engine, request(*(item for item, _ in variants)), [image for _, image in variants])
        assert len({response.text for responses in reply.samples for response in responses}) == len(variants)

    with_engine(make, warm, scene)


def test_log_probabilities_come_token_by_token_where_asked(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        reply = await sample(engine, request(prompt(n=2, seed=7), prompt(n=2, temperature=0), logprobs=True))
        assert reply.token_logprobs is not None
        for responses, own in zip(reply.samples, reply.token_logprobs, strict=True):
            for response, logprobs in zip(responses, own, strict=True):
                assert len(logprobs) == len(response.token_ids)
                assert sum(logprobs) == pytest.approx(response.logprob, abs=1e-4)
                assert max(logprobs) <= 1e-6
                assert engine.vocabulary().read(response.token_ids).startswith(response.text)
        assert (await sample(engine, request(prompt()))).token_logprobs is None

    with_engine(make, warm, scene)


def test_tokens_are_heard_as_they_are_sampled(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        for first in (prompt(n=3, seed=7), prompt(n=2, temperature=0)):
            deltas: list[Delta] = []
            asked = request(first, prompt(n=2, seed=9), logprobs=True)
            reply = await generate(engine, asked, [picture(), picture()], deltas.append)
            assert reply.token_logprobs is not None and len(deltas) > first.n, "in several parts"
            for sample, response in enumerate(reply.samples[0]):
                own = [delta for delta in deltas if delta.sample == sample]
                assert sum((delta.token_ids for delta in own), ()) == response.token_ids
                assert sum((delta.logprobs for delta in own), ()) == pytest.approx(reply.token_logprobs[0][sample])
                assert [delta.finish_reason for delta in own] == [None] * (len(own) - 1) + [response.finish_reason]
            assert texts(reply) == texts(await generate(engine, asked, [picture(), picture()]))

    with_engine(make, warm, scene)


def conversation(**fields: object) -> SamplingRequest:
    """One question in words only, with two samples."""
    return SamplingRequest(prompts=(EnginePrompt(turns=(Turn("user", ("How many?",)),), n=2, seed=3),), **fields)  # type: ignore[arg-type]


def test_a_sample_ends_before_a_stop_string(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        whole = await engine.generate(conversation(max_tokens=12))
        text = whole.samples[0][0].text
        stop = text[len(text) // 2 :][:3]
        deltas: list[Delta] = []
        cut = await engine.generate(conversation(max_tokens=12, stop=("not there", stop)), deltas.append)
        response = cut.samples[0][0]
        assert response.text == text[: text.index(stop)]
        assert response.finish_reason is FinishReason.STOP
        ids = whole.samples[0][0].token_ids
        assert response.token_ids == ids[: len(response.token_ids)] and len(response.token_ids) < len(ids)
        assert sum((delta.token_ids for delta in deltas if not delta.sample), ()) == response.token_ids
        other = cut.samples[0][1]
        if stop not in whole.samples[0][1].text:
            assert other.token_ids == whole.samples[0][1].token_ids

    with_engine(make, warm, scene)


def test_the_end_of_the_turn_can_be_ignored(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        found = await engine.generate(conversation(max_tokens=32, ignore_eos=True))
        ends = engine.vocabulary().ends
        for response in found.samples[0]:
            assert len(response.token_ids) == 32 and not ends & set(response.token_ids)  # type: ignore[operator]

    with_engine(make, warm, scene)


def test_the_likeliest_tokens_come_place_by_place(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        deltas: list[Delta] = []
        found = await engine.generate(conversation(max_tokens=6, top_logprobs=3), deltas.append)
        for sample, response in enumerate(found.samples[0]):
            own, logprobs = found.likely[0][sample], found.token_logprobs[0][sample]
            told = [likely for delta in deltas if delta.sample == sample for likely in delta.likely]
            assert len(own) == len(response.token_ids) == len(told)
            for token, logprob, likely in zip(response.token_ids, logprobs, own, strict=True):
                assert 0 < len(likely) <= 3
                values = [value for _, value in likely]
                assert values == sorted(values, reverse=True) and logprob <= values[0] + 1e-4
                assert all(value == pytest.approx(logprob, abs=1e-4) for other, value in likely if other == token)

    with_engine(make, warm, scene)


@pytest.mark.parametrize("fields", [{"temperature": 1e-320}, {"temperature": 1e-9}])
def test_numbers_beyond_a_sampler_s_reach_are_taken_to_its_edge(
    make: Callable[[], Engine], warm: ArtefactRef, fields: dict[str, float]
) -> None:
    async def scene(engine: Engine) -> None:
        asked = conversation(max_tokens=4, top_p=1e-320)
        prompts = (replace(asked.prompts[0], seed=2**63 - 1, **fields),)  # type: ignore[arg-type]
        found = await engine.generate(replace(asked, prompts=prompts))
        assert all(math.isfinite(value) for own in found.token_logprobs[0] for value in own)

    with_engine(make, warm, scene)


def test_conversations_show_several_images_or_none(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        user = Turn("user", (None, "and", None, "differ?"))
        shown = [(picture(1), picture(2)), (picture(2), picture(1)), (picture(1), picture(1))]
        prompts = [EnginePrompt(turns=(user,), images=own, temperature=0) for own in shown]
        prompts.append(EnginePrompt(turns=(Turn("user", ("differ?",)),), temperature=0))
        talk = (Turn("system", ("Be brief.",)), Turn("user", ("One?",)), Turn("assistant", ("No.",)))
        prompts.append(EnginePrompt(turns=(*talk, Turn("user", ("Two?",))), temperature=0))
        found = await engine.generate(SamplingRequest(tuple(prompts), max_tokens=12))
        alone = [await engine.generate(SamplingRequest((prompt,), max_tokens=12)) for prompt in prompts]
        assert [one.samples[0][0].text for one in alone] == [own[0].text for own in found.samples]
        assert len({own[0].text for own in found.samples}) >= 3

    with_engine(make, warm, scene)


def test_no_sample_is_longer_than_allowed(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        for limit in (1, 5):
            reply = await sample(engine, request(prompt(n=8), max_tokens=limit))
            assert max(len(response.token_ids) for response in reply.samples[0]) == limit

    with_engine(make, warm, scene)


def test_another_version_is_refused_by_name(make: Callable[[], Engine], warm: ArtefactRef, newer: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        with pytest.raises(WeightVersionMismatch):
            await sample(engine, request(prompt(), weight_version=newer.version))
        reply = await sample(engine, request(prompt(), weight_version=warm.version))
        assert reply.weight_version == warm.version

    with_engine(make, warm, scene)


def test_a_load_changes_the_samples(make: Callable[[], Engine], warm: ArtefactRef, newer: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        before = await sample(engine, request(prompt(n=2)))
        await engine.load(newer)
        after = await sample(engine, request(prompt(n=2)))
        assert after.weight_version == newer.version
        assert texts(after) != texts(before)
        await engine.load(warm)
        assert texts(await sample(engine, request(prompt(n=2)))) == texts(before)

    with_engine(make, warm, scene)


def test_after_a_sleep_the_next_load_serves_as_before(
    make: Callable[[], Engine], warm: ArtefactRef, newer: ArtefactRef
) -> None:
    async def scene(engine: Engine) -> None:
        before = texts(await sample(engine, request(prompt(n=2))))
        await engine.sleep()
        assert not engine.weights().ready
        with pytest.raises(Unavailable):
            await sample(engine, request(prompt()))
        # Not those that it had: nothing of them may come back with the engine.
        await engine.load(newer)
        assert texts(await sample(engine, request(prompt(n=2)))) != before
        await engine.load(warm)
        assert texts(await sample(engine, request(prompt(n=2)))) == before

    with_engine(make, warm, scene)


def test_bad_artefacts_are_refused_and_the_old_weights_serve_on(
    make: Callable[[], Engine], store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef
) -> None:
    corrupt(store, newer)

    async def scene(engine: Engine) -> None:
        before = texts(await sample(engine, request(prompt())))
        with pytest.raises(CorruptArtefact):
            await engine.load(newer)
        with pytest.raises(NotFound):
            await engine.load(ArtefactRef(id="r1/it09/train", sha256="0" * 64))
        assert engine.weights().weight_version == warm.version
        assert texts(await sample(engine, request(prompt()))) == before

    with_engine(make, warm, scene)


def test_replies_beside_a_load_come_from_one_version_each(
    make: Callable[[], Engine], warm: ArtefactRef, newer: ArtefactRef
) -> None:
    async def scene(engine: Engine) -> None:
        asked = request(prompt(n=2, seed=5), max_tokens=6)
        expected = {warm.version: texts(await sample(engine, asked))}
        early = [asyncio.ensure_future(sample(engine, asked)) for _ in range(4)]
        load = asyncio.ensure_future(engine.load(newer))
        replies = await asyncio.gather(*early)
        await load
        replies += await asyncio.gather(*(sample(engine, asked) for _ in range(4)))
        expected[newer.version] = texts(replies[-1])
        assert expected[newer.version] != expected[warm.version]
        for reply in replies:
            assert texts(reply) == expected[reply.weight_version]

    with_engine(make, warm, scene)


def test_cancelled_requests_leave_the_others_alone(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        tasks = [asyncio.ensure_future(sample(engine, request(prompt(n=4, seed=seed)))) for seed in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[3].cancel()
        replies = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(reply, RolloutReply) for reply in (replies[0], replies[2])] == [True, True]
        alone = texts(await sample(engine, request(prompt(n=4, seed=2))))
        assert isinstance(replies[2], RolloutReply)
        assert texts(replies[2]) == alone

    with_engine(make, warm, scene)


def test_a_plain_folder_is_served_under_a_version_of_its_content(
    make: Callable[[], Engine], store: ArtefactStore, warm: ArtefactRef
) -> None:
    async def scene(engine: Engine) -> None:
        await engine.load_folder(store.path(warm.id) / "model")
        assert engine.weights().weight_version.startswith("model@")
        assert (await sample(engine, request(prompt()))).weight_version == engine.weights().weight_version

    with_engine(make, None, scene)


def test_weights_that_are_not_finite_are_never_served(
    make: Callable[[], Engine], store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef
) -> None:
    folder = store.path(newer.id) / "model"
    weights = load_file(folder / "model.safetensors")
    first = next(iter(weights))
    save_file(weights | {first: torch.full_like(weights[first], torch.nan)}, folder / "model.safetensors", PYTORCH)

    async def scene(engine: Engine) -> None:
        with pytest.raises(InvalidInput, match="not finite"):
            await engine.load_folder(folder)
        assert engine.weights().weight_version == warm.version

    with_engine(make, warm, scene)
