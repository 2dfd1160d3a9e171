"""What vLLM adds: caches that share, weights swapped in place, counted by the engine itself."""

import asyncio
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from minivista.architecture import make_processor
from mstar.api.policy import RolloutReply, RolloutRequest
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.encoding import encode_text
from mstar_policy.hf_engine import HfEngine
from policy_bench import generate, picture, prompt, request, texts
from vllm_bench import BLOCK, VLLM_MARKS, StartedVllm

pytestmark = VLLM_MARKS
LONG = (
    "How many bars are there, and how many of them are green, and which of the three is first and which is last? " * 3
)


def sample(started: StartedVllm, store: ArtefactStore, asked: RolloutRequest, shades: list[int]) -> RolloutReply:
    engine = started.vllm(store)
    return started.run(generate(engine, asked, [picture(shade) for shade in shades]))


def load(started: StartedVllm, store: ArtefactStore, ref: ArtefactRef) -> None:
    started.run(started.vllm(store).load(ref))
    started.run(started.vllm(store).encoder_runs())


@pytest.fixture
def warmed(started: StartedVllm, store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef) -> StartedVllm:
    """The engine with `warm` loaded and nothing in its caches."""
    load(started, store, newer)
    load(started, store, warm)
    return started


def test_both_engines_give_the_same_greedy_response(
    started: StartedVllm, store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef
) -> None:
    """After a swap as well: a part that kept its old weights would show here."""
    asked = request(prompt(temperature=0), prompt(LONG, temperature=0, prefix="There are three.\n\n"), max_tokens=10)

    for ref in (warm, newer, warm):
        load(started, store, ref)
        expected = asyncio.run(plain(store, ref, asked, [9, 70]))
        assert texts(sample(started, store, asked, [9, 70])) == texts(expected)

    # As for labels and scores under another separator: the engines cut equal tokens at equal places.
    asked = request(prompt(temperature=0), max_tokens=10)
    ((text,),) = texts(asyncio.run(plain(store, warm, asked, [9])))
    cut = asked.model_copy(update={"step_separator": next(filter(str.isalpha, text[len(text) // 2 :]))})
    replies = asyncio.run(plain(store, warm, cut, [9])), sample(started, store, cut, [9])
    ends, others = ([one.step_ends for (one,) in reply.samples] for reply in replies)
    assert ends == others and len(ends[0]) > 1


def computed() -> int:
    """Prompt tokens that vLLM computed since it started, as it counts them itself."""
    from vllm.v1.metrics.reader import Counter, get_metrics_snapshot

    return sum(
        metric.value
        for metric in get_metrics_snapshot()
        if isinstance(metric, Counter) and metric.labels.get("source") == "local_compute"
    )


def prompt_tokens(started: StartedVllm, store: ArtefactStore) -> int:
    """Of the long question with its image, all of which is computed."""
    return sample(started, store, request(prompt(LONG, temperature=0), max_tokens=1), [250]).usage.prompt_tokens


def test_all_samples_and_temperatures_share_one_image_and_one_prefix(warmed: StartedVllm, store: ArtefactStore) -> None:
    whole = prompt_tokens(warmed, store)
    assert whole > 2 * BLOCK
    warmed.run(warmed.vllm(store).encoder_runs())
    before = computed()
    sweep = [prompt(LONG, n=4, temperature=0.3 + 0.1 * place, seed=place) for place in range(14)]
    usage = sample(warmed, store, request(*sweep, max_tokens=2), [5] * 14).usage
    assert warmed.run(warmed.vllm(store).encoder_runs()) == usage.images_encoded == 1
    assert usage.prompt_tokens == computed() - before
    # Of each sample but the first only what fills no whole block is computed again.
    assert usage.prompt_tokens == whole + 55 * ((whole - 1) % BLOCK + 1)


def test_completions_of_prefixes_share_the_image_and_what_is_common(warmed: StartedVllm, store: ArtefactStore) -> None:
    whole = prompt_tokens(warmed, store)
    warmed.run(warmed.vllm(store).encoder_runs())
    before = computed()
    steps = [
        f"There are {number} bars, and each of them is one row of the two.\n\n" for number in ("two", "three", "one")
    ]
    prefixes = ["".join(steps[:count]) for count in range(1, 4)]
    prompts = [prompt(LONG, n=3, prefix=prefix, seed=place) for place, prefix in enumerate(prefixes)]
    usage = sample(warmed, store, request(*prompts, max_tokens=2), [8] * 3).usage
    assert warmed.run(warmed.vllm(store).encoder_runs()) == usage.images_encoded == 1
    assert usage.prompt_tokens == computed() - before
    longest = whole + len(encode_text(make_processor().tokenizer, prefixes[-1]))
    assert usage.prompt_tokens <= longest + 8 * BLOCK < 9 * whole


def test_an_image_behind_text_that_is_cached_is_counted(warmed: StartedVllm, store: ArtefactStore) -> None:
    """A system turn of whole blocks stands before every image, and is in the cache from the first one on."""
    asked = request(prompt(temperature=0, system="Look at the bars with care. " * 20), max_tokens=1)
    for shade in (11, 90):
        warmed.run(warmed.vllm(store).encoder_runs())
        usage = sample(warmed, store, asked, [shade]).usage
        assert warmed.run(warmed.vllm(store).encoder_runs()) == usage.images_encoded == 1
    assert sample(warmed, store, asked, [90]).usage.images_encoded == 0


def test_more_prompts_than_one_step_holds_keep_their_seeds(warmed: StartedVllm, store: ArtefactStore) -> None:
    asked = request(*(prompt(f"Which is number {place}?", n=8, seed=place) for place in range(80)), max_tokens=4)
    reply = sample(warmed, store, asked, list(range(80)))
    alone = sample(warmed, store, request(asked.prompts[70], max_tokens=4), [70])
    assert texts(alone)[0] == texts(reply)[70]


def test_a_swap_drops_what_the_old_weights_filled(
    warmed: StartedVllm, store: ArtefactStore, newer: ArtefactRef
) -> None:
    asked = request(prompt(LONG, temperature=0), max_tokens=1)
    first = sample(warmed, store, asked, [5]).usage.prompt_tokens
    again = sample(warmed, store, asked, [5]).usage.prompt_tokens
    assert again < first
    load(warmed, store, newer)
    assert sample(warmed, store, asked, [5]).usage.prompt_tokens == first
    assert warmed.run(warmed.vllm(store).encoder_runs()) == 1


def test_image_features_are_kept_where_what_makes_them_is_the_same(
    warmed: StartedVllm, store: ArtefactStore, warm: ArtefactRef
) -> None:
    """The features are of the warm weights, and so are those of a checkpoint whose language model alone was trained."""
    trained = store.write("r1/it05/train", lambda folder: other_words(store.path(warm.id), folder), {})
    asked = request(prompt(LONG, temperature=0), max_tokens=3)
    expected = sample(warmed, store, asked, [30])
    load(warmed, store, trained)
    found = sample(warmed, store, asked, [30])
    assert warmed.run(warmed.vllm(store).encoder_runs()) == 0, "the image's features were there"
    assert found.usage.prompt_tokens == expected.usage.prompt_tokens, "its keys and values were not"
    assert texts(found) == texts(asyncio.run(plain(store, trained, asked, [30]))) != texts(expected)


def other_words(former: Path, folder: Path) -> None:
    shutil.copytree(former / "model", folder / "model")
    path = folder / "model" / "model.safetensors"
    weights = load_file(path)
    last = max(name for name in weights if "text_model.layers" in name and name.endswith("mlp.down_proj.weight"))
    save_file(weights | {last: weights[last].roll(1, 0) * 3}, path, {"format": "pt"})


async def plain(store: ArtefactStore, ref: ArtefactRef, asked: RolloutRequest, shades: list[int]) -> RolloutReply:
    """The same from the transformers engine, which remembers nothing of other weights."""
    engine = HfEngine(store, threads=1)
    await engine.load(ref)
    try:
        return await generate(engine, asked, [picture(shade) for shade in shades])
    finally:
        await engine.close()
