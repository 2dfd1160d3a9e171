"""One model family on the device, in float32 and bfloat16, against the model by its own means there."""

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_device import CUDA, DEVICE, scratch
from benchmarks.gpu_training import join_alone
from family_folders import Family, write_folder
from family_reference import (
    MAX_TOKENS,
    QUESTION,
    STEPS,
    Plain,
    commit,
    labelled,
    picture,
    prm_loss,
    selected,
    sft_loss,
    step_scores,
)
from further_families import DRIVEN
from mstar.train_recipe import TrainRecipe
from mstar_artefacts.storage import Storage
from mstar_artefacts.store import ArtefactStore
from mstar_models.attention import read_blocks
from mstar_models.chat import question_turns
from mstar_models.encoding import PromptEncoder, encode_segments
from mstar_models.layout import SequenceLayout
from mstar_models.loading import load_model, load_processor
from mstar_models.trunk import run_trunk
from mstar_policy.engine import EnginePrompt, SamplingRequest
from mstar_policy.hf_engine import HfEngine
from mstar_prm.hf_scorer import HfScorer
from mstar_trainer.training_loop import TrainingLoop
from trainer_bench import Bench, never

SETTINGS = TrainRecipe(learning_rate=1e-4, batch_size=8, micro_tokens=1000)
PLACES = (0, 1)
ALONE = ((0,), (1,))
"""Pictures of each row that is trained on."""
"""Of the pictures."""


def family(name: str) -> dict[str, Any]:
    """Differences between the services and the plain model, for each type of weights."""
    known = next(one for one in DRIVEN if one.name == name)
    found: dict[str, Any] = {}
    with scratch() as root:
        folder = write_folder(known, root / "fp32" / name)
        half = root / "bf16" / name
        shutil.copytree(folder, half)
        declare_half(half)
        for kind, where in (("fp32", folder), ("bf16", half)):
            reference = Plain(load_model(where).to(DEVICE), load_processor(where))
            found[f"{kind} policy"] = asyncio.run(_sampled(reference, where, root))
            found[f"{kind} PRM"] = {"largest difference": asyncio.run(_scored(reference, where, root))}
            if not known.one_by_one:
                found[f"{kind} blocks"] = {"differ by": _blocks(reference)}
        found |= _trained(known, folder, half, root)
    return found


def declare_half(folder: Path) -> None:
    """Have a folder's weights loaded in bfloat16."""
    path = folder / "config.json"
    settings = json.loads(path.read_text()) | {"dtype": "bfloat16"}
    settings["text_config"] = settings.get("text_config", {}) | {"dtype": "bfloat16"}
    path.write_text(json.dumps(settings))


async def _sampled(reference: Plain, folder: Path, root: Path) -> dict[str, Any]:
    """How far greedy decoding goes with `generate`.

    Where they part, the margin in nats by which the model itself prefers its token: in bfloat16 two may be equal.
    """
    engine = HfEngine(ArtefactStore(root), threads=1)
    await engine.load_folder(folder)
    prompts = tuple(EnginePrompt(question_turns(QUESTION), (picture(place),), temperature=0.0) for place in PLACES)
    reply = await engine.generate(SamplingRequest(prompts, max_tokens=MAX_TOKENS))
    await engine.close()
    equal, tokens, margin, off = 0, 0, 0.0, 0.0
    for place, (sample,) in zip(PLACES, reply.samples, strict=True):
        expected, logprob = reference.greedy(picture(place))
        got = list(sample.token_ids)
        same = _common(got, expected)
        equal, tokens = equal + same, tokens + len(expected)
        if got == expected:
            off = max(off, abs(sample.logprob - logprob))
        else:
            last = reference.logits(picture(place), expected[:same])[-1].log_softmax(0)
            margin = max(margin, float(last[expected[same]] - last[got[same]]))
    return {"tokens equal": equal, "of": tokens, "margin where they part": margin, "log-probability off by": off}


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common beginning."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


async def _scored(reference: Plain, folder: Path, root: Path) -> float:
    """Largest difference between a score from the tree and one from a pass of its own."""
    scorer = HfScorer(root, batch_tokens=2048, waiting_tokens=100_000)
    await scorer.load_folder(folder)
    off = 0.0
    for place in PLACES:
        _, scores = await scorer.score(QUESTION, [picture(place)], STEPS, None)
        for steps, got in zip(STEPS, scores, strict=True):
            off = max(off, float((torch.tensor(got) - step_scores(reference, picture(place), steps)).abs().max()))
    await scorer.close()
    return off


def _blocks(reference: Plain) -> float:
    """Relative difference of the last hidden states of a tree, from a mask of blocks and from a dense one."""
    model, layout = reference.model, SequenceLayout(reference.model)
    prompt = PromptEncoder(reference.processor).encode(QUESTION, [picture(0)])
    packed = layout.start(prompt)
    for steps in STEPS:
        packed.add([tuple(encode_segments(reference.processor.tokenizer, [step])[0]) for step in steps])
    inputs = layout.inputs([(prompt, packed)])
    kinds = {key: model.dtype if value.is_floating_point() else value.dtype for key, value in inputs.items()}
    inputs = {key: value.to(DEVICE, kinds[key]) for key, value in inputs.items()}
    with torch.inference_mode():
        dense = run_trunk(model, **inputs).last_hidden_state.float()
        read_blocks(model, fewest=0)
        blocks = run_trunk(model, **inputs).last_hidden_state.float()
    return float((blocks - dense).norm() / dense.norm())


def _trained(known: Family, folder: Path, half: Path, root: Path) -> dict[str, Any]:
    """First losses of real steps beside the plain ones, in the type that training has on this device."""
    reference = Plain(load_model(half if CUDA else folder).to(DEVICE), load_processor(folder))
    plain = {"sft": sft_loss(reference, ALONE), "prm": prm_loss(reference, ALONE)}
    bench = Bench(root / "home")
    base = commit(bench, known.name, folder)
    bench.put_rows("sft-rows", [selected(bench, own) for own in ALONE])
    bench.put_rows("prm-rows", [labelled(bench, own) for own in ALONE])
    found = {}
    with join_alone():
        loop = TrainingLoop(Storage(home=bench.home))
        for name, objective, more in (("SFT", "sft", {}), ("PRM training", "prm", {"freeze_vision": True})):
            settings = SETTINGS.model_copy(update=more)
            claim = bench.claim(
                f"{objective}/train",
                f"{objective}-rows",
                base,
                settings=settings,
                carry=False,
                objective=objective,  # type: ignore[arg-type]
            )
            ref, result = loop.train(claim, lambda done, total: None, never)
            load_model(bench.store.verify(ref) / "model")
            found[name] = {"loss": result.first_loss, "plain": plain[objective]}
    return found
