"""The scorer and its weights: what it says without them, which version a score has, and what a bad folder leaves."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from mstar.errors import CorruptArtefact, InvalidInput, NotFound, TooManyRequests, Unavailable, WeightVersionMismatch
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_prm.hf_scorer import HfScorer
from policy_bench import corrupt, picture

Result = TypeVar("Result")

QUESTION = "How many bars are there?"
STEPS = ("A is 3", "## Answer\n\n3")


def using(
    store: ArtefactStore,
    conversation: Callable[[HfScorer], Awaitable[Result]],
    *,
    batch_tokens: int = 4096,
    waiting_tokens: int = 100_000,
) -> Result:
    async def run() -> Result:
        scorer = HfScorer(store.root, batch_tokens=batch_tokens, waiting_tokens=waiting_tokens)
        try:
            return await conversation(scorer)
        finally:
            await scorer.close()

    return asyncio.run(run())


def test_nothing_is_scored_before_weights_are_there(store: ArtefactStore, prm: ArtefactRef) -> None:
    async def conversation(scorer: HfScorer) -> None:
        assert not scorer.weights().ready
        with pytest.raises(Unavailable, match="`mstar serve RUN` loads those of a run"):
            await scorer.score(QUESTION, [picture()], [STEPS], None)
        await scorer.load(prm)
        assert (scorer.weights().ready, scorer.weights().weight_version) == (True, prm.version)
        assert (await scorer.score(QUESTION, [picture()], [STEPS], prm.version))[0] == prm.version

    using(store, conversation)


def test_a_score_belongs_to_the_version_that_was_asked_for(
    store: ArtefactStore, prm: ArtefactRef, newer: ArtefactRef
) -> None:
    async def conversation(scorer: HfScorer) -> None:
        await scorer.load(prm)
        _, first = await scorer.score(QUESTION, [picture()], [STEPS], prm.version)
        await scorer.load(newer)
        with pytest.raises(WeightVersionMismatch, match=prm.version):
            await scorer.score(QUESTION, [picture()], [STEPS], prm.version)
        version, second = await scorer.score(QUESTION, [picture()], [STEPS], newer.version)
        assert version == newer.version and second != first
        await scorer.load(prm)
        assert await scorer.score(QUESTION, [picture()], [STEPS], None) == (prm.version, first)

    using(store, conversation)


def test_weights_that_change_under_a_request_do_not_mix(
    store: ArtefactStore, prm: ArtefactRef, newer: ArtefactRef
) -> None:
    responses = [(f"A is {number}", "so", f"## Answer\n\n{number}") for number in range(12)]

    async def conversation(scorer: HfScorer) -> None:
        await scorer.load(prm)
        alone = await scorer.score(QUESTION, [picture()], responses, None)
        under_way = asyncio.create_task(scorer.score(QUESTION, [picture()], responses, None))
        await asyncio.sleep(0)
        await scorer.load(newer)
        new = asyncio.create_task(scorer.score(QUESTION, [picture()], responses, None))
        version, scores = await under_way
        assert version == prm.version
        for row, expected in zip(scores, alone[1], strict=True):
            assert row == pytest.approx(expected, abs=1e-5)
        assert (await new)[0] == newer.version

    using(store, conversation, batch_tokens=256)


def test_bad_weights_leave_the_old_ones_serving(store: ArtefactStore, prm: ArtefactRef, newer: ArtefactRef) -> None:
    corrupt(store, newer)
    rows = store.write("r1/it01/select", lambda folder: (folder / "rows.jsonl").write_text("{}") and None, {})

    async def conversation(scorer: HfScorer) -> None:
        await scorer.load(prm)
        _, before = await scorer.score(QUESTION, [picture()], [STEPS], None)
        for ref, error in (
            (newer, CorruptArtefact),
            (rows, InvalidInput),
            (ArtefactRef(id="r9/none", sha256="0" * 64), NotFound),
        ):
            with pytest.raises(error):
                await scorer.load(ref)
        version, (after,) = await scorer.score(QUESTION, [picture()], [STEPS], None)
        # The second time the prompt's keys and values are known, and sums are rounded in another order.
        assert (version, after) == (prm.version, pytest.approx(before[0], abs=1e-6))

    using(store, conversation)


def test_the_version_of_a_plain_folder_follows_its_content(
    store: ArtefactStore, prm: ArtefactRef, newer: ArtefactRef
) -> None:
    async def conversation(scorer: HfScorer) -> list[str]:
        versions = []
        for ref in (prm, newer, prm):
            await scorer.load_folder(store.path(ref.id) / "model")
            versions.append(scorer.weights().weight_version)
        return versions

    first, second, again = using(store, conversation)
    assert first.startswith("model@") and first == again != second


def test_a_response_beyond_the_context_is_named(store: ArtefactStore, prm: ArtefactRef) -> None:
    config = store.path(prm.id) / "model" / "config.json"
    fits = json.loads(config.read_text())["text_config"]["max_position_embeddings"]

    async def conversation(scorer: HfScorer) -> None:
        await scorer.load(prm)
        with pytest.raises(InvalidInput, match=rf"response 1 is too long.*{fits} fit") as refused:
            await scorer.score(QUESTION, [picture()], [STEPS, ("x" * fits,)], None)
        assert refused.value.field == "responses.1"

    using(store, conversation)


def test_a_request_that_is_turned_away_leaves_nothing_waiting(store: ArtefactStore, prm: ArtefactRef) -> None:
    responses = [(f"{number}" * 150, "so") for number in range(8)]

    async def conversation(scorer: HfScorer) -> int:
        await scorer.load(prm)
        # The worker thread cannot take a job while its lock is held here.
        with scorer._batches._changed:
            first = asyncio.ensure_future(scorer.score(QUESTION, [picture()], responses, None))
            await asyncio.sleep(0)
            with pytest.raises(TooManyRequests):
                await scorer.score(QUESTION, [picture()], responses, None)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await asyncio.sleep(0)  # The loop tells the queue what was cancelled.
        await scorer.score(QUESTION, [picture()], [STEPS], None)
        return scorer.work.forwards

    assert using(store, conversation, batch_tokens=256, waiting_tokens=2200) == 1


def test_a_damaged_folder_is_refused(store: ArtefactStore, prm: ArtefactRef, tmp_path: Path) -> None:
    folder = store.path(prm.id) / "model"
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])

    async def conversation(scorer: HfScorer) -> None:
        with pytest.raises(InvalidInput, match="model"):
            await scorer.load_folder(folder)
        assert not scorer.weights().ready

    using(store, conversation)


def test_a_model_that_cannot_be_loaded_is_refused_and_the_old_one_stays(store: ArtefactStore, prm: ArtefactRef) -> None:
    folder = store.path(prm.id) / "model"

    async def conversation(scorer: HfScorer) -> None:
        await scorer.load(prm)
        config = json.loads((folder / "config.json").read_text())
        config["text_config"]["hidden_size"] += 1
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(InvalidInput, match="cannot be loaded"):
            await scorer.load_folder(folder)
        assert scorer.weights().weight_version == prm.version

    using(store, conversation)
