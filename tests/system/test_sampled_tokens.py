"""From sampling to training and scoring the ids stay as they were sampled, where their text would become others."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch

from family_folders import write_folder
from family_reference import QUESTION, Plain, data, encoded, picture
from model_families import FAMILIES
from mstar.api.policy import RolloutReply, RolloutRequest
from mstar.layout import scored_segments
from mstar.prompts import PRESETS, PromptPreset
from mstar.types import Question, SampledTokens, SelectedRow
from mstar_artefacts.images import ImageStore
from mstar_artefacts.store import ArtefactStore
from mstar_models.encoding import encode_segments
from mstar_models.labels import label_token_ids
from mstar_models.loading import load_model, load_processor
from mstar_models.spelling import cut
from mstar_policy.hf_engine import HfEngine
from mstar_policy.rollouts import rollout_reply, sampling_request
from mstar_prm.hf_scorer import HfScorer
from mstar_trainer.batches import grouped, sft_examples
from mstar_trainer.encoding import ExampleEncoder

BARE = PRESETS[PromptPreset.MINIVISTA]


def sampled(folder: Path, home: Path) -> RolloutReply:
    """Responses of a random model, whose tokens are those that a tokenizer would seldom choose."""
    engine = HfEngine(ArtefactStore(home), threads=1)
    prompt = {"question": QUESTION, "images": [{"data": data(0)}], "n": 12, "temperature": 1.5, "seed": 3}
    request = RolloutRequest.model_validate({"prompts": [prompt], "max_tokens": 24})

    async def ask() -> RolloutReply:
        try:
            await engine.load_folder(folder)
            return rollout_reply(request, await engine.generate(sampling_request(request, [[picture(0)]])))
        finally:
            await engine.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "idefics3"])
def test_what_is_sampled_is_trained_and_scored(name: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    (family,) = (one for one in FAMILIES if one.name == name)
    folder = write_folder(family, tmp_path / name)
    reply = sampled(folder, tmp_path)
    said = [one for one in reply.samples[0] if scored_segments(one.text)]
    tokens = [SampledTokens.of(one, reply.vocabulary) for one in said]
    plain = Plain(load_model(folder), load_processor(folder))
    again = [encode_segments(plain.processor.tokenizer, scored_segments(one.text))[0] for one in said]
    differ = sum(list(one.token_ids) != ids for one, ids in zip(said, again, strict=True))
    assert differ > len(said) / 2, "else the test shows nothing"

    digest = ImageStore(tmp_path / ".mstar" / "images").put(encoded(0))
    question = Question(id="q", text=QUESTION, images=(digest,))
    encoder = ExampleEncoder(folder, tmp_path, plain.model)
    prompt: list[int] = []
    for response, kept in zip(said, tokens, strict=True):
        row = SelectedRow(
            question=question,
            response=response.text,
            iteration=1,
            index=0,
            temperature=1.0,
            weight_version="w",
            reason="test",
            tokens=kept,
        )
        (tree,) = encoder.trees(grouped(sft_examples([row], BARE)), 10_000)
        assert tree.targets == list(response.token_ids)
        prompt = tree.prompt.input_ids
    assert prompt == plain.inputs(picture(0))["input_ids"][0].tolist()

    labels = list(label_token_ids(plain.processor.tokenizer))
    pieces: list[Any] = [tuple(cut(kept.ids, kept.ends)) for kept in tokens if kept is not None]
    for scores, response in zip(scored(folder, tmp_path, pieces), said, strict=True):
        # [R + 1, 2]: place n is behind n tokens of the response.
        pair = plain.logits(picture(0), response.token_ids)[:, labels].softmax(dim=1)
        assert scores == pytest.approx([float(pair[end, 0]) for end in response.step_ends], abs=2e-6)


def scored(folder: Path, home: Path, pieces: list[Any]) -> list[tuple[float, ...]]:
    scorer = HfScorer(home, batch_tokens=2048, waiting_tokens=100_000)

    async def ask() -> list[tuple[float, ...]]:
        try:
            await scorer.load_folder(folder)
            return (await scorer.score(QUESTION, [picture(0)], pieces, None))[1]
        finally:
            await scorer.close()

    return asyncio.run(ask())
