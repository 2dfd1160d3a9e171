"""What comes back as it was: an optimizer after its processes were killed, and room for keys after a second load."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_device import CUDA, DEVICE, GIGA, folder_of, held, moved, scratch, seconds, write_random
from mstar.train_recipe import TrainRecipe
from mstar_artefacts.store import ArtefactStore
from mstar_models.chat import question_turns
from mstar_models.checkpoint import FINITE
from mstar_policy.engine import EnginePrompt, SamplingRequest
from mstar_policy.hf_engine import HfEngine
from mstar_trainer.resident import ResidentTrainer
from trainer_bench import Bench, copied, never

SAMPLES, LENGTH = (64, 64) if CUDA else (2, 4)


def resumed(shape: str, options: dict[str, Any]) -> dict[str, Any]:
    """A third training after two: by the processes of those, and twice by new ones. They should not differ in a bit."""
    settings = TrainRecipe.model_validate(
        {"learning_rate": 1e-4, "batch_size": 8, "micro_tokens": 4096, "freeze_vision": True} | options
    )
    with scratch() as root:
        bench = Bench(root / "home")
        for number in (1, 2):
            bench.put_rows(f"it0{number}/select", bench.selected(20, seed=number))
        _put_model(bench, folder_of(shape, root / "model"))
        trainer, took = ResidentTrainer(bench.home), []
        there: list[Any] = []

        def train(name: str, data: str, parent: str) -> tuple[float, ...]:
            claim = bench.claim(name, data, parent, settings=settings)
            done: list[Any] = []
            took.append(seconds(lambda: done.append(trainer.train(claim, 1, lambda done, total: None, never))))
            bench.inputs[name] = done[0].artefact
            return tuple(done[0].result.losses)

        try:
            train("on1/train", "it01/select", "prepare")
            train("on2/train", "it02/select", "on1/train")
            found = []
            for _ in range(3):
                found.append(train("on3/train", "it01/select", "on2/train"))
                there.append(bench.inputs["on3/train"])
                # Else the next training would only be read.
                shutil.rmtree(bench.store.path(there[-1].id))
                trainer.close()
        finally:
            trainer.close()
        kept, first, second = found
        return {
            "resumed is equal to the last bit": there[0] == there[1],
            "resumed twice is equal to the last bit": there[1] == there[2],
            "losses": [round(loss, 5) for loss in kept],
            # The first comes before any update: only what was loaded can differ there.
            "first loss off by": abs(kept[0] - first[0]),
            "losses off by": _apart(kept, first),
            "losses of both resumed off by": _apart(first, second),
            "s": [round(one, 1) for one in took],
        }


def _apart(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def _put_model(bench: Bench, folder: Path) -> None:
    write_random(folder, torch.bfloat16)
    if CUDA:
        torch.cuda.empty_cache()
    bench.inputs["prepare"] = bench.store.write("r-1/large", moved(folder), {})


def second_load(shape: str) -> dict[str, Any]:
    """Tokens for which the transformers engine has room, after a load and after those that replace it."""
    with scratch() as root:
        folder = folder_of(shape, root / "model")
        write_random(folder, torch.bfloat16)
        if CUDA:
            torch.cuda.empty_cache()
        store = ArtefactStore(root)
        refs = [store.write(f"r-0/it0{number}/train", copied(folder), {FINITE: True}) for number in (1, 2, 3)]
        return asyncio.run(_loaded(HfEngine(store), refs))


async def _loaded(engine: HfEngine, refs: list[Any]) -> dict[str, Any]:
    prompt = EnginePrompt(question_turns("How many?", images=0), (), n=SAMPLES, seed=3)
    request = SamplingRequest((prompt,), max_tokens=LENGTH, ignore_eos=True)
    found: dict[str, Any] = {}
    try:
        for number, ref in enumerate(refs, 1):
            await engine.load(ref)
            assert engine._loaded is not None
            own = {"tokens of room": engine._loaded.limits.tokens, "GB held": held()}
            if CUDA:
                free, total = torch.cuda.mem_get_info(DEVICE)
                own |= {"GB free": free / GIGA, "GB": total / GIGA}
            # Keys of a batch, which the allocator keeps, are what the next load finds taken.
            await engine.generate(request)
            found[f"load {number}"] = own
    finally:
        await engine.close()
    return found
