"""The conformance suite of engines: what `Engine` promises, asked of every adapter."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
import torch
from safetensors.torch import load_file, save_file

from mstar.api.policy import RolloutReply, RolloutRequest
from mstar.errors import CorruptArtefact, InvalidInput, NotFound, Unavailable, WeightVersionMismatch
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_policy.engine import Delta, Engine
from mstar_policy.hf_engine import HfEngine
from policy_bench import FakeEngine, corrupt, picture, prompt, request, texts
from vllm_bench import VLLM_MARKS, StartedVllm

PYTORCH = {"format": "pt"}
ENGINES: dict[str, Callable[[ArtefactStore], Engine]] = {"fake": FakeEngine, "transformers": HfEngine}


@pytest.fixture(scope="module")
def started() -> Iterator[StartedVllm]:
    """One vLLM for the whole module, since starting it takes many seconds."""
    with StartedVllm() as started:
        yield started


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
    return await engine.generate(asked, [picture(place) for place in range(len(asked.prompts))])


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
            alone = await engine.generate(request(item), [picture(asked.prompts.index(item))])
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
        reply = await engine.generate(asked, [picture(), picture()])
        assert len({response.text for responses in reply.samples for response in responses}) == 1

    with_engine(make, warm, scene)


def test_the_prompt_matters_in_all_its_parts(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        variants = [
            (prompt(), picture(0)),
            (prompt(), picture(200)),
            (prompt("How many books are there?"), picture(0)),
            (prompt(reference_answer="17"), picture(0)),
            (prompt(prefix="There are three bars.\n\n"), picture(0)),
            (prompt(temperature=0.5), picture(0)),
        ]
        reply = await engine.generate(request(*(item for item, _ in variants)), [image for _, image in variants])
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
                assert engine.read(response.token_ids).startswith(response.text)
        assert (await sample(engine, request(prompt()))).token_logprobs is None

    with_engine(make, warm, scene)


def test_tokens_are_heard_as_they_are_sampled(make: Callable[[], Engine], warm: ArtefactRef) -> None:
    async def scene(engine: Engine) -> None:
        for first in (prompt(n=3, seed=7), prompt(n=2, temperature=0)):
            deltas: list[Delta] = []
            asked = request(first, prompt(n=2, seed=9), logprobs=True)
            reply = await engine.generate(asked, [picture(), picture()], deltas.append)
            assert reply.token_logprobs is not None and len(deltas) > first.n, "in several parts"
            for sample, response in enumerate(reply.samples[0]):
                own = [delta for delta in deltas if delta.sample == sample]
                assert sum((delta.token_ids for delta in own), ()) == response.token_ids
                assert sum((delta.logprobs for delta in own), ()) == pytest.approx(reply.token_logprobs[0][sample])
                assert [delta.finish_reason for delta in own] == [None] * (len(own) - 1) + [response.finish_reason]
            assert texts(reply) == texts(await engine.generate(asked, [picture(), picture()]))

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
        for ref in (newer, warm):
            await engine.sleep()
            assert not engine.weights().ready
            with pytest.raises(Unavailable):
                await sample(engine, request(prompt()))
            await engine.load(ref)
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
