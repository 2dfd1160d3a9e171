"""vLLM on a GPU by the policy's own adapter: its start, its speed, new weights in place, sleep, and what it says."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from benchmarks.gpu_device import CUDA, GIGA, folder_of, held, scratch, write_random
from benchmarks.gpu_families import PLACES, declare_half
from family_folders import write_folder
from family_reference import MAX_TOKENS, QUESTION, picture
from further_families import DRIVEN
from minivista import MODEL_FOLDER
from mstar.errors import MstarError
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.chat import question_turns
from mstar_models.checkpoint import FINITE
from mstar_models.vllm_core import VllmOptions, make_core
from mstar_models.vllm_host import VllmHost
from mstar_policy.engine import Engine, EnginePrompt, Generation, SamplingRequest
from mstar_policy.hf_engine import HfEngine
from mstar_policy.vllm_engine import VllmEngine
from trainer_bench import copied

COUNT, SAMPLES, LENGTH, SIDE = (16, 16, 128, 560) if CUDA else (2, 2, 4, 56)
OPTIONS = VllmOptions(
    memory_share=0.35, sleeps_in_place=CUDA, cpu=not CUDA, threads=1, count_encoder_runs=True
)  # fmt: skip
CHANGED = 1.25
"""Factor between the language weights of the two checkpoints."""


def served(shape: str) -> dict[str, Any]:
    """Two checkpoints in turn, and what the transformers engine says of the same ones."""
    with scratch() as root:
        folder = _model(shape, root / "model")
        if CUDA:
            torch.cuda.empty_cache()
        store = ArtefactStore(root)
        refs = [store.write("r-0/it01/train", copied(folder), {FINITE: True})]
        _change(folder)
        refs.append(store.write("r-0/it02/train", copied(folder), {FINITE: True}))
        found: dict[str, Any] = {}
        try:
            asyncio.run(_vllm(store, refs, found))
        except Exception as error:
            raise RuntimeError(f"{type(error).__name__}: {error}; before that {found}") from error
        return found


def family(name: str) -> dict[str, Any]:
    """A small model of a family in bfloat16 under vLLM, and after an exchange in place, beside the other engine."""
    known = next(one for one in DRIVEN if one.name == name)
    with scratch() as root:
        folders = [write_folder(known, root / "first" / name)]
        declare_half(folders[0])
        folders.append(Path(shutil.copytree(folders[0], root / "second" / name)))
        _change(folders[1])
        return asyncio.run(_family(ArtefactStore(root), folders))


async def _family(store: ArtefactStore, folders: list[Path]) -> dict[str, Any]:
    prompts = tuple(EnginePrompt(question_turns(QUESTION), (picture(place),), temperature=0.0) for place in PLACES)
    request = SamplingRequest(prompts, max_tokens=MAX_TOKENS)
    replies: list[list[Generation]] = []
    small = VllmEngine(store, replace(OPTIONS, sleeps_in_place=False))
    small._host = VllmHost(OPTIONS, partial(_small_core, loggers=[small._ledger]))
    for engine in (small, HfEngine(store, threads=1)):
        replies.append([])
        try:
            for folder in folders:
                await engine.load_folder(folder)
                replies[-1].append(await engine.generate(request))
        finally:
            await engine.close()
    return {
        name: _compared(mine, other)
        for name, mine, other in zip(("first weights", "second weights"), *replies, strict=True)
    }


def _small_core(folder: Path, options: VllmOptions, loggers: Sequence[Any]) -> Any:
    """An engine without graphs and with little room, so that it starts soon and several share a device."""
    from vllm.engine import arg_utils

    known = arg_utils.AsyncEngineArgs
    arg_utils.AsyncEngineArgs = partial(known, enforce_eager=True, kv_cache_memory_bytes=1 << 30)
    try:
        return make_core(folder, replace(options, sleeps_in_place=False), loggers)
    finally:
        arg_utils.AsyncEngineArgs = known


def _model(shape: str, folder: Path) -> Path:
    if CUDA:
        write_random(folder_of(shape, folder), torch.bfloat16)
        return folder
    # vLLM looks at Qwen2.5-VL only where torchvision is, which a CPU's environment need not have.
    return Path(shutil.copytree(MODEL_FOLDER, folder))


def _change(folder: Path) -> None:
    """The same shapes with other numbers in the language model."""
    for file in folder.glob("*.safetensors"):
        tensors = load_file(file)
        save_file(
            {name: one if "visual" in name else (one.float() * CHANGED).to(one.dtype) for name, one in tensors.items()},
            file,
            {"format": "pt"},
        )


async def _vllm(store: ArtefactStore, refs: list[ArtefactRef], found: dict[str, Any]) -> None:
    engine = VllmEngine(store, OPTIONS)
    try:
        found["start s"] = await _took(engine.load(refs[0]))
        found["sum"] = engine.weights().checksum[:12]
        found |= await _speed(engine)
        first = await _greedy(engine)
        images = await engine.encoder_runs()
        found["pictures encoded"] = images
        found["second weights s"] = await _took(engine.load(refs[1]))
        found["other sum"] = engine.weights().checksum[:12]
        second = await _greedy(engine)
        found["back to the first s"] = await _took(engine.load(refs[0]))
        found["sum again"] = engine.weights().checksum[:12]
        found["the same tokens after both exchanges"] = _ids(await _greedy(engine)) == _ids(first)
        found["the second weights say other things"] = _ids(second) != _ids(first)
        found |= await _slept(engine, refs, _ids(second))
    finally:
        await engine.close()
    found |= await _beside(store, refs, [first, second])


async def _slept(engine: VllmEngine, refs: list[ArtefactRef], expected: list[Any]) -> dict[str, Any]:
    """Sleep in place, and the second weights into what wakes up."""
    if not OPTIONS.sleeps_in_place:
        return {}
    before = torch.cuda.mem_get_info()[0] / GIGA
    found: dict[str, Any] = {"GB free awake": before, "sleep s": await _took(engine.sleep())}
    found |= {"GB free asleep": torch.cuda.mem_get_info()[0] / GIGA, "slept in place": engine._host.live}
    found["waking with the second weights s"] = await _took(engine.load(refs[1]))
    found["the same tokens after a sleep"] = _ids(await _greedy(engine)) == expected
    return found


async def _beside(store: ArtefactStore, refs: list[ArtefactRef], said: list[Generation]) -> dict[str, Any]:
    """The transformers engine: the same tokens up to where two are as good as equally likely, and its speed."""
    engine = HfEngine(store, cache_bytes=16 << 30)
    found: dict[str, Any] = {}
    try:
        for name, ref, generation in zip(("first", "second"), refs, said, strict=True):
            await engine.load(ref)
            other = await _greedy(engine)
            found[f"{name} weights"] = _compared(generation, other)
        found["transformers"] = (await _speed(engine)) | {"GB of weights": held()}
    finally:
        await engine.close()
    return found


def _compared(mine: Generation, other: Generation) -> dict[str, Any]:
    """Greedy responses of two engines: tokens up to where they part, and their log-probabilities in nats."""
    alike = [_alike(one, two) for one, two in zip(_ids(mine), _ids(other), strict=True)]
    off = [
        abs(a - b)
        for one, two, same in zip(mine.token_logprobs, other.token_logprobs, alike, strict=True)
        for a, b in zip(one[0][:same], two[0][:same], strict=True)
    ]
    margins = [
        abs(one[0][same] - two[0][same])
        for one, two, same in zip(mine.token_logprobs, other.token_logprobs, alike, strict=True)
        if same < min(len(one[0]), len(two[0]))
    ]
    return {
        "tokens alike": sum(alike),
        "of": sum(map(len, _ids(other))),
        "log-probabilities off by": max(off, default=0.0),
        "on average": sum(off) / max(1, len(off)),
        "where they part, log-probabilities differ by": max(margins, default=0.0),
    }


async def _speed(engine: Engine) -> dict[str, Any]:
    """Tokens a second of one request of many samples, after one that warms up with other pictures."""
    await engine.generate(_request(SAMPLES, 200))
    request = _request(SAMPLES, 10)
    took = await _took(engine.generate(request))
    return {"sampled tokens/s": COUNT * SAMPLES * LENGTH / took}


async def _greedy(engine: Engine) -> Generation:
    try:
        return await engine.generate(_request(1, 10, temperature=0.0))
    except MstarError as error:
        raise RuntimeError(str(error)) from error


def _request(samples: int, shade: int, temperature: float = 1.0) -> SamplingRequest:
    images = [Image.new("RGB", (SIDE, SIDE), (3 * place, shade, 30)) for place in range(COUNT)]
    prompts = tuple(
        EnginePrompt(question_turns("How many?"), (image,), n=samples, temperature=temperature, seed=3)
        for image in images
    )
    return SamplingRequest(prompts, max_tokens=LENGTH, ignore_eos=True)


def _ids(generation: Generation) -> list[Any]:
    return [one[0].token_ids for one in generation.samples]


def _alike(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Tokens that both begin with."""
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))


async def _took(work: Awaitable[Any]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began
