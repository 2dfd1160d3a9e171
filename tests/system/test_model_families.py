"""Every model family goes through policy, PRM and trainer, from a folder as a hub has it, with and without images.

The reference is always the model itself, one sequence at a time: `generate`, or one forward pass for each response.
What this leaves out: that large checkpoints fit and are fast.
"""

import asyncio
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpx2
import pytest
import torch

from family_folders import Family, write_folder
from family_reference import (
    MAX_TOKENS,
    QUESTION,
    STEPS,
    Plain,
    commit,
    data,
    labelled,
    picture,
    pictures,
    prm_loss,
    selected,
    sft_loss,
    shown_to,
    step_scores,
)
from further_families import DRIVEN
from mstar.api.policy import RolloutReply
from mstar.api.prm import ScoreReply
from mstar.steps import ArtefactRef
from mstar.train_recipe import TrainRecipe
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.scheduler.model_check import check_model
from mstar_models.encoding import encode_text
from mstar_models.loading import load_model, load_processor
from mstar_models.special_tokens import suppressed_ids
from mstar_models.suitability import packing_obstacle, row_cache_obstacle
from mstar_policy import app as policy_app
from mstar_policy.config import PolicySettings
from mstar_policy.hf_engine import HfEngine
from mstar_policy.probed import ProbedEngine
from mstar_prm import app as prm_app
from mstar_prm.config import PrmSettings
from mstar_prm.hf_scorer import HfScorer
from mstar_prm.probed import ProbedScorer
from mstar_trainer.resident import ResidentTrainer
from trainer_bench import Bench, never
from web_bench import talk

pytestmark = [
    # transformers' own: GLM's processor and Mllama's vision tower.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`hidden_state` is deprecated:FutureWarning"),
]
SETTINGS = TrainRecipe(learning_rate=1e-4, batch_size=8, micro_tokens=1000)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("families")


@pytest.fixture(scope="module")
def bench(folders: Path) -> Bench:
    return Bench(folders / "home")


@pytest.fixture(scope="module")
def trainer(bench: Bench) -> Iterator[ResidentTrainer]:
    trainer = ResidentTrainer(bench.home, threads=1)
    yield trainer
    trainer.close()


def folder_of(family: Family, folders: Path) -> Path:
    folder = folders / family.name
    return folder if folder.exists() else write_folder(family, folder)


@cache
def plain(folder: Path) -> Plain:
    return Plain(load_model(folder), load_processor(folder))


@pytest.mark.parametrize("family", DRIVEN, ids=lambda family: family.name)
def test_the_policy_says_what_generate_says(family: Family, folders: Path, tmp_path: Path) -> None:
    folder = folder_of(family, folders)
    reference = plain(folder)
    shown = shown_to(family)
    expected = [reference.greedy(pictures(own)) for own in shown]
    settings = PolicySettings(home=tmp_path)
    engine = HfEngine(settings.storage().artefacts(), threads=1)

    async def ask(client: httpx2.AsyncClient) -> tuple[RolloutReply, str]:
        await engine.load_folder(folder)
        prompts = [
            {"question": QUESTION, "images": [{"data": data(place)} for place in own], "temperature": 0}
            for own in shown
        ]
        sampled = await client.post("/v1/rollouts", json={"prompts": prompts, "max_tokens": MAX_TOKENS})
        url = {"url": f"data:image/png;base64,{data(0)}"}
        parts = [{"type": "image_url", "image_url": url}, {"type": "text", "text": QUESTION}]
        turns = [{"role": "user", "content": parts}]
        chat = {"model": "mstar-policy", "messages": turns, "max_tokens": MAX_TOKENS, "temperature": 0}
        said = await client.post("/v1/chat/completions", json=chat)
        return RolloutReply.model_validate_json(sampled.content), said.json()["choices"][0]["message"]["content"]

    reply, said = talk(policy_app.build_app(settings, engine), ask)
    for (sample,), (tokens, logprob) in zip(reply.samples, expected, strict=True):
        assert list(sample.token_ids) == tokens
        assert sample.logprob == pytest.approx(logprob, abs=1e-4)
    assert abs(expected[0][1] - expected[1][1]) > 1e-3, "what is said depends on the picture"
    end = reference.processor.tokenizer.eos_token_id
    text = reference.processor.tokenizer.decode([one for one in expected[0][0] if one != end])
    # Random weights stop within a character; the chat leaves such an end out.
    assert said.rstrip("\N{REPLACEMENT CHARACTER}") == text.rstrip("\N{REPLACEMENT CHARACTER}")


BEGINNINGS = ((0, ""), (0, "3 + 4 = 7\n\nSo"), (0, "3 + 4 = 7\n\nIt is"), (1, "So it is"))
"""Picture and beginning of the response: two that share one, and others of other lengths."""
ODD = ("gemma3", "mllama", "paligemma", "qwen3_5", "minicpmv4_6", "qwen2_5_vl", "gemma4")


@pytest.mark.parametrize("family", [one for one in DRIVEN if one.name in ODD], ids=lambda family: family.name)
def test_beginnings_of_several_lengths_are_continued_together(family: Family, folders: Path, tmp_path: Path) -> None:
    """As in Monte-Carlo estimation: the padding between them, and what is shared, change no token."""
    reference = plain(folder_of(family, folders))
    tokenizer = reference.processor.tokenizer
    never = suppressed_ids(tokenizer)
    settings = PolicySettings(home=tmp_path)
    engine = HfEngine(settings.storage().artefacts(), threads=1)

    async def ask(client: httpx2.AsyncClient) -> RolloutReply:
        await engine.load_folder(folder_of(family, folders))
        asked = {"question": QUESTION, "temperature": 0}
        prompts = [asked | {"images": [{"data": data(place)}], "prefix": begun} for place, begun in BEGINNINGS]
        sampled = await client.post("/v1/rollouts", json={"prompts": prompts, "max_tokens": 4})
        return RolloutReply.model_validate_json(sampled.content)

    reply = talk(policy_app.build_app(settings, engine), ask)
    for (place, begun), (sample,) in zip(BEGINNINGS, reply.samples, strict=True):
        tokens, total = list(encode_text(tokenizer, begun)), 0.0
        for token in sample.token_ids:
            last = reference.logits(picture(place), tokens)[-1].clone()
            last[[one for one in never if one < len(last)]] = -torch.inf
            assert token == int(last.argmax())
            tokens.append(token)
            total += float(last.log_softmax(0)[token])
        assert sample.logprob == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("family", DRIVEN, ids=lambda family: family.name)
def test_scores_are_those_of_separate_passes(family: Family, folders: Path, tmp_path: Path) -> None:
    folder = folder_of(family, folders)
    reference = plain(folder)
    settings = PrmSettings(home=tmp_path)
    scorer = HfScorer(settings.storage(), batch_tokens=2048, waiting_tokens=100_000)
    shown = shown_to(family)

    async def ask(client: httpx2.AsyncClient) -> list[ScoreReply]:
        await scorer.load_folder(folder)
        responses = [{"steps": steps} for steps in STEPS]
        bodies = [
            {"question": QUESTION, "images": [{"data": data(place)} for place in own], "responses": responses}
            for own in shown
        ]
        # Side by side, so that pictures of two shapes wait together.
        replies = await asyncio.gather(*(client.post("/v1/score", json=body) for body in bodies))
        return [ScoreReply.model_validate_json(reply.content) for reply in replies]

    for own, reply in zip(shown, talk(prm_app.build_app(settings, scorer), ask), strict=True):
        for steps, result in zip(STEPS, reply.results, strict=True):
            expected = step_scores(reference, pictures(own), steps)
            assert [step.score for step in result.steps] == pytest.approx(expected.tolist(), abs=2e-6)


@pytest.mark.parametrize("family", DRIVEN, ids=lambda family: family.name)
def test_the_first_loss_is_the_plain_one_and_the_checkpoint_loads(
    family: Family, folders: Path, bench: Bench, trainer: ResidentTrainer
) -> None:
    folder = folder_of(family, folders)
    reference = plain(folder)
    base = commit(bench, family.name, folder)
    shown = shown_to(family)
    bench.put_rows(f"{family.name}/select", [selected(bench, own) for own in shown])
    bench.put_rows(f"{family.name}/collect", [labelled(bench, own) for own in shown])
    for objective, rows, expected, frozen in (
        ("sft", "select", sft_loss(reference, shown), False),
        ("prm", "collect", prm_loss(reference, shown), True),
    ):
        name = f"{family.name}-{objective}/train"
        claim = bench.claim(
            name,
            f"{family.name}/{rows}",
            base,
            settings=SETTINGS.model_copy(update={"freeze_vision": frozen}),
            carry=False,
            objective=objective,  # type: ignore[arg-type]
        )
        done = trainer.train(claim, 1, lambda done, total: None, never)
        assert done.result.first_loss == pytest.approx(expected, rel=2e-5)
        written = bench.store.verify(done.artefact) / "model"
        again = plain(written)
        assert again.inputs(picture(0))["input_ids"].tolist() == reference.inputs(picture(0))["input_ids"].tolist()
        assert again.model.config.to_diff_dict() == reference.model.config.to_diff_dict()
        moved = [
            not torch.equal(a, b) for a, b in zip(again.model.parameters(), reference.model.parameters(), strict=True)
        ]
        assert any(moved)
        # A push is refused where policy or PRM say something else than the trainer about the same weights.
        asyncio.run(pushed(objective, bench.store, done.artefact))


async def pushed(objective: str, store: ArtefactStore, checkpoint: ArtefactRef) -> None:
    service: ProbedEngine | ProbedScorer = (
        ProbedEngine(HfEngine(store, threads=1), store)
        if objective == "sft"
        else ProbedScorer(HfScorer(store.root, batch_tokens=2048, waiting_tokens=100_000), store)
    )
    try:
        await service.load(checkpoint)
        assert service.weights().ready
    finally:
        await service.close()


@pytest.mark.parametrize("family", DRIVEN, ids=lambda family: family.name)
def test_a_run_on_the_family_is_admitted(family: Family, folders: Path) -> None:
    assert check_model(folder_of(family, folders)) > 0


@pytest.mark.parametrize("family", DRIVEN, ids=lambda family: family.name)
def test_what_a_family_cannot_share_is_known_from_its_folder(family: Family, folders: Path) -> None:
    model = plain(folder_of(family, folders)).model
    assert (packing_obstacle(model) or "") == family.one_by_one
    assert (row_cache_obstacle(model) or "") == family.own_cache
