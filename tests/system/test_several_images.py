"""Questions with several images, one or none go through policy, PRM and trainer together, and each as it would alone.

The reference is the model itself, one sequence at a time.
"""

import asyncio
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from family_folders import Family, write_folder
from family_reference import MAX_TOKENS, QUESTION, STEPS, Plain, commit, data, encoded, no_more, picture, selected
from family_reference import step_scores as expected_scores
from model_families import FAMILIES
from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutRequest
from mstar.train_recipe import TrainRecipe
from mstar_artefacts.store import ArtefactStore
from mstar_models.encoding import encode_segments
from mstar_models.images import ImageGate
from mstar_models.loading import load_model, load_processor
from mstar_policy.hf_engine import HfEngine
from mstar_policy.rollouts import Rollouts
from mstar_prm.hf_scorer import HfScorer
from mstar_trainer.resident import ResidentTrainer
from trainer_bench import Bench

SHOWN = ((), (0, 1), (1,), (1, 0, 1))
"""Pictures of each question."""
SETTINGS = TrainRecipe(learning_rate=1e-4, batch_size=8, micro_tokens=1000)
CHOSEN = [one for one in FAMILIES if one.name in ("qwen2_5_vl", "internvl", "idefics3", "llava_next")]


@pytest.mark.parametrize("family", CHOSEN, ids=lambda family: family.name)
def test_questions_with_several_images_or_none_are_exact(family: Family, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    folder = write_folder(family, tmp_path / family.name)
    reference = Plain(load_model(folder), load_processor(folder))
    shown = [[picture(place) for place in own] for own in SHOWN]
    said, scores = asyncio.run(_served(folder, tmp_path))
    for pictures, (tokens, logprob), own in zip(shown, said, scores, strict=True):
        expected, total = reference.greedy(pictures)
        assert (tokens, logprob) == (expected, pytest.approx(total, abs=1e-4))
        for steps, found in zip(STEPS, own, strict=True):
            assert found == pytest.approx(expected_scores(reference, pictures, steps).tolist(), abs=2e-6)
    _assert_trained(family, folder, reference, tmp_path)


async def _served(folder: Path, home: Path) -> tuple[list[tuple[list[int], float]], list[list[tuple[float, ...]]]]:
    store = ArtefactStore(home / "store")
    engine, gate = HfEngine(store, threads=1), ImageGate()
    scorer = HfScorer(home, batch_tokens=2048, waiting_tokens=100_000)
    bench = Bench(home / "images")
    try:
        await engine.load_folder(folder)
        prompts = tuple(
            Prompt(question=QUESTION, images=tuple(ImageInput(data=data(place)) for place in own), temperature=0)
            for own in SHOWN
        )
        rollouts = Rollouts(engine, gate, bench.images, 100)
        reply = await rollouts.sample(RolloutRequest(prompts=prompts, max_tokens=MAX_TOKENS))
        await scorer.load_folder(folder)
        asked = (scorer.score(QUESTION, [picture(place) for place in own], STEPS, None) for own in SHOWN)
        scores = [found for _, found in await asyncio.gather(*asked)]
    finally:
        gate.close()
        await engine.close()
        await scorer.close()
    return [(list(one.token_ids), one.logprob) for (one,) in reply.samples], scores


def _assert_trained(family: Family, folder: Path, reference: Plain, home: Path) -> None:
    """The first loss over all of them is the plain one, with the tower's outputs kept and without."""
    bench = Bench(home / "trained")
    base = commit(bench, family.name, folder)
    rows = []
    for number, own in enumerate(SHOWN):
        question = selected(bench, 0).question.model_copy(
            update={"id": f"q-{number}", "images": tuple(bench.images.put(encoded(place)) for place in own)}
        )
        rows.append(selected(bench, 0).model_copy(update={"question": question}))
    bench.put_rows(f"{family.name}/select", rows)
    tokens, _ = encode_segments(reference.processor.tokenizer, STEPS[1])
    targets = torch.tensor([*tokens, reference.processor.tokenizer.eos_token_id])
    sums = [
        functional.cross_entropy(reference.logits([picture(n) for n in own], tokens), targets, reduction="sum")
        for own in SHOWN
    ]
    expected = float(sum(sums) / (len(SHOWN) * len(targets)))
    trainer = ResidentTrainer(bench.home, threads=1)
    try:
        for frozen in (False, True):
            settings = SETTINGS.model_copy(update={"freeze_vision": frozen})
            name = f"{family.name}-{frozen}/train"
            claim = bench.claim(name, f"{family.name}/select", base, settings=settings, carry=False, objective="sft")
            done = trainer.train(claim, 1, lambda done, total: None, no_more)
            assert done.result.first_loss == pytest.approx(expected, rel=2e-5)
    finally:
        trainer.close()
