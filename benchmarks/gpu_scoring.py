"""Trees under a dense mask and under blocks, and the way of weights from the disk to what serves them."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file

from benchmarks.gpu_device import (
    CUDA,
    DEVICE,
    GIGA,
    folder_of,
    forget_peak,
    held,
    median,
    moved,
    peak,
    random_model,
    scratch,
    seconds,
    write_random,
)
from mstar_artefacts.digests import BLAKE3, digests_of
from mstar_artefacts.store import ArtefactStore
from mstar_models.attention import block_mask, dense_mask, read_blocks
from mstar_models.chat import question_turns
from mstar_models.checkpoint import FINITE, load_checkpoint
from mstar_models.packing import Packed, start, tensors
from mstar_models.trunk import run_trunk
from mstar_policy.engine import EnginePrompt, SamplingRequest
from mstar_policy.hf_engine import HfEngine
from mstar_prm.hf_scorer import HfScorer

PROMPT, STEP, LENGTH = (800, 40, 8) if CUDA else (60, 10, 3)
"""Tokens of the prompt and of a step, and steps of a response. Every four responses share their first half."""
EXACT_TO = 4096
"""Tokens up to which float32 fits beside."""


def tree(tokens: int) -> Packed:
    """A prompt with responses of text, `tokens` tokens or a few more."""
    packed = start([5 + n % 200 for n in range(PROMPT)], torch.arange(PROMPT).expand(3, -1))
    response = 0
    while len(packed.ids) < tokens:
        shared = [tuple(7 + (response // 4 + step + n) % 200 for n in range(STEP)) for step in range(LENGTH // 2)]
        # The first token is the response's own.
        own = [(10 + response, *shared[0][1:]) for _ in range(LENGTH - LENGTH // 2)]
        packed.add([*shared, *own])
        response += 1
    return packed


def attention(tokens: int) -> dict[str, Any]:
    """Tokens a second and memory of the 2 B model over one tree, forward as the PRM and both ways as the trainer."""
    packed = tree(tokens if CUDA else tokens // 32)
    found: dict[str, Any] = {"tokens": len(packed.ids), "responses": len(packed.ends)}
    with scratch() as root:
        model = random_model(folder_of("2b", root / "model"), torch.bfloat16)
    inputs = {key: value.to(DEVICE) for key, value in tensors([packed], pad_id=0).items()}
    width, spans = len(packed.ids), inputs.pop("spans")
    found["share of pairs seen"] = float(dense_mask(spans, width).float().mean())
    ends = torch.tensor([one[-1] for one in packed.ends], device=DEVICE)
    hidden: dict[str, torch.Tensor] = {}
    for name, make in (("dense", dense_mask), ("blocks", block_mask)):
        if name == "blocks":
            read_blocks(model)

        def run(make: Callable[[torch.Tensor, int], Any] = make) -> torch.Tensor:
            mask = make(spans, width)
            states: torch.Tensor = run_trunk(model, **inputs, attention_mask=mask, use_cache=False).last_hidden_state
            return states

        own = {"mask ms": 1000 * median(lambda make=make: make(spans, width))}  # type: ignore[misc]
        hidden[name] = _forward(run, width, own)[0, ends].float()
        if CUDA:
            _both_ways(model, run, width, own)
        found[name] = own
    if width < EXACT_TO:
        # The same weights in float32 under the dense mask: what both are rounded from.
        model.float()
        with torch.inference_mode():
            exact = run(dense_mask)[0, ends]
        for name, states in hidden.items():
            found[name]["off by"] = float((states - exact).norm() / exact.norm())
    off = (hidden["blocks"] - hidden["dense"]).norm() / hidden["dense"].norm()
    return found | {"hidden states differ by": float(off)}


def _forward(run: Callable[[], torch.Tensor], tokens: int, own: dict[str, Any]) -> torch.Tensor:
    """Last hidden states [1, T, D]; notes what they cost."""
    with torch.inference_mode():
        own["first s"] = seconds(run)
        before = held()
        forget_peak()
        took = median(run)
        own |= {"tokens/s": tokens / took, "GB beside": peak() - before}
        return run()


def _both_ways(model: Any, run: Callable[[], torch.Tensor], tokens: int, own: dict[str, Any]) -> None:
    def both() -> None:
        torch.autograd.backward(run().float().pow(2).mean())
        model.zero_grad()

    try:
        own["training first s"] = seconds(both)
        before = held()
        forget_peak()
        own["training tokens/s"] = tokens / median(both, 3)
        own["training GB beside"] = peak() - before
    except torch.OutOfMemoryError:
        own["training"] = "out of memory"


def hand_over(shape: str) -> dict[str, Any]:
    """A checkpoint from the trainer's files to a model that answers, and the transformers engine with it."""
    with scratch() as root:
        folder = folder_of(shape, root / "model")
        found = {"writing s": write_random(folder, torch.bfloat16)}
        forget_peak()
        store = ArtefactStore(root)
        began = time.perf_counter()
        ref = store.write("r-0/it01/train", moved(folder), {FINITE: True})
        found["sealing s"] = time.perf_counter() - began
        files = sorted((store.path(ref.id) / "model").glob("*.safetensors"))
        size = sum(file.stat().st_size for file in files) / GIGA
        found |= {"GB": size, "files": len(files)}
        found["digests GB/s"] = size / median(lambda: digests_of([(file, BLAKE3) for file in files]), 3)
        found["safetensors to the device GB/s"] = size / median(lambda: _read(files), 3)
        found["verified and on the device GB/s"] = size / median(lambda: _loaded(store, ref), 3)
        return found | asyncio.run(_served(store, root, ref))


def _read(files: list[Path]) -> None:
    for file in files:
        load_file(file, device=str(DEVICE))


def _loaded(store: ArtefactStore, ref: Any) -> None:
    load_checkpoint(store, ref)[0].to(DEVICE)


async def _served(store: ArtefactStore, root: Path, ref: Any) -> dict[str, Any]:
    """Seconds until policy and PRM have the weights, and what they do a second then."""
    engine = HfEngine(store, cache_bytes=16 << 30)
    began = time.perf_counter()
    await engine.load(ref)
    found: dict[str, Any] = {"policy loaded s": time.perf_counter() - began}
    count, samples, length = (16, 16, 128) if CUDA else (2, 2, 4)
    side = 560 if CUDA else 56
    images = [Image.new("RGB", (side, side), (10 * place, 90, 30)) for place in range(count)]
    prompts = tuple(EnginePrompt(question_turns("How many?"), (image,), n=samples, seed=3) for image in images)
    request = SamplingRequest(prompts, max_tokens=length, ignore_eos=True)
    await engine.generate(request)
    began = time.perf_counter()
    await engine.generate(request)
    found["sampled tokens/s"] = count * samples * length / (time.perf_counter() - began)
    await engine.sleep()
    await engine.close()
    scorer = HfScorer(root, batch_tokens=16_384, waiting_tokens=1_000_000)
    began = time.perf_counter()
    await scorer.load(ref)
    found["PRM loaded s"] = time.perf_counter() - began
    steps = [tuple(f"Step {step} of {one}: 3 + 4 = 7" for step in range(5)) for one in range(samples)]
    # The first time compiles and fills; then pictures are new, and then known.
    for turn, shown in (("first", images), ("new prompts", _others(images)), ("known prompts", images)):
        began, before = time.perf_counter(), scorer.work.tokens
        await asyncio.gather(*(scorer.score("How many?", [image], steps, None) for image in shown))
        took, tokens = time.perf_counter() - began, scorer.work.tokens - before
        found[f"PRM {turn}"] = {"tokens": tokens, "s": took, "tokens/s": tokens / took}
    await scorer.close()
    return found


def _others(images: list[Image.Image]) -> list[Image.Image]:
    return [image.transpose(Image.Transpose.ROTATE_90).point(lambda value: value ^ 1) for image in images]
