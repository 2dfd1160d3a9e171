"""Exchanging weights where vLLM fails, hangs, lies or sleeps badly: never a mix, and a load always helps."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from fake_core import FakeCore, FakeCores
from mstar.api.policy import RolloutReply
from mstar.errors import InvalidInput, Unavailable
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.vllm_core import VllmOptions
from mstar_policy.vllm_engine import VllmEngine
from policy_bench import generate, picture, prompt, request
from vllm_bench import VLLM_MARKS

pytestmark = VLLM_MARKS
PHASES = (
    "pause_generation",
    "load_checkpoint",
    "reset_encoder_cache",
    "reset_prefix_cache",
    "update_weight_version",
    "resume_generation",
    "compute_weight_checksums",
)
OPTIONS = VllmOptions(sleeps_in_place=True, memory_share=0.9)


def play(store: ArtefactStore, scene: Callable[[VllmEngine, FakeCores], Awaitable[None]], seconds: float = 30) -> None:
    async def run() -> None:
        cores = FakeCores()
        engine = VllmEngine(store, OPTIONS, make=cores, swap_seconds=seconds)
        try:
            await scene(engine, cores)
        finally:
            await engine.close()

    asyncio.run(run())


async def sample(engine: VllmEngine) -> RolloutReply:
    return await generate(engine, request(prompt(n=2), prompt(temperature=0)), [picture(), picture(5)])


def test_a_swap_goes_through_all_phases_in_order(store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef) -> None:
    async def scene(engine: VllmEngine, cores: FakeCores) -> None:
        await engine.load(warm)
        (core,) = cores.made
        core.calls.clear()
        await engine.load(newer)
        assert tuple(core.calls) == PHASES
        assert core.folder.endswith("it01/train/model")
        assert engine.weights().weight_version == newer.version and engine.weights().checksum

    play(store, scene)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("how", ["fails", "hangs"])
def test_a_phase_that_fails_leaves_nothing_served_until_a_load(
    store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef, phase: str, how: str
) -> None:
    async def scene(engine: VllmEngine, cores: FakeCores) -> None:
        await engine.load(warm)
        (core,) = cores.made
        if how == "fails":
            core.failures[phase] = RuntimeError("a kernel failed")
        else:
            core.hangs.add(phase)
        with pytest.raises(RuntimeError if how == "fails" else Unavailable):
            await engine.load(newer)
        assert not engine.weights().ready and core.ended.is_set()
        with pytest.raises(Unavailable):
            await sample(engine)
        await engine.load(newer)
        assert (await sample(engine)).weight_version == newer.version

    play(store, scene, seconds=0.5)


def test_keys_and_values_that_stay_are_an_error(store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef) -> None:
    async def scene(engine: VllmEngine, cores: FakeCores) -> None:
        await engine.load(warm)
        cores.made[0].keeps_prefixes = True
        with pytest.raises(Unavailable, match="keys and values of the old weights"):
            await engine.load(newer)
        assert not engine.weights().ready

    play(store, scene)


def test_requests_wait_at_the_door_while_weights_are_exchanged(
    store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef
) -> None:
    async def scene(engine: VllmEngine, cores: FakeCores) -> None:
        await engine.load(warm)
        (core,) = cores.made
        core.calls.clear()
        load = asyncio.ensure_future(engine.load(newer))
        while "pause_generation" not in core.calls:
            await asyncio.sleep(0.001)
        replies = await asyncio.gather(*(sample(engine) for _ in range(5)))
        await load
        assert {reply.weight_version for reply in replies} == {newer.version}
        assert core.calls.index("compute_weight_checksums") < core.calls.index("generate")

    play(store, scene)


def test_samples_of_other_weights_are_no_samples(store: ArtefactStore, warm: ArtefactRef) -> None:
    async def scene(engine: VllmEngine, cores: FakeCores) -> None:
        await engine.load(warm)
        cores.made[0].claimed_version = "r1/it09/train@0"
        with pytest.raises(Unavailable, match=r"samples came from .*r1/it09/train@0"):
            await sample(engine)

    play(store, scene)


def test_an_engine_that_kept_the_old_weights_is_found_out(
    store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef
) -> None:
    async def scene(engine: VllmEngine, cores: FakeCores) -> None:
        await engine.load(warm)
        cores.made[0].sums = str(store.path(warm.id) / "model")
        with pytest.raises(Unavailable, match="the engine kept weights"):
            await engine.load(newer)

    play(store, scene)


def test_a_version_that_comes_back_with_other_sums_is_refused(
    store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef
) -> None:
    async def scene(engine: VllmEngine, cores: FakeCores) -> None:
        await engine.load(warm)
        await engine.load(newer)
        cores.made[0].sums = "of something else"
        with pytest.raises(Unavailable, match="another checksum than before"):
            await engine.load(warm)

    play(store, scene)


def test_a_checkpoint_of_the_same_tensors_in_other_files_is_served(store: ArtefactStore, warm: ArtefactRef) -> None:
    same = store.write(
        "r1/it07/train", lambda folder: in_two_files(store.path(warm.id) / "model", folder / "model"), {}
    )

    async def scene(engine: VllmEngine, cores: FakeCores) -> None:
        await engine.load(warm)
        (core,) = cores.made
        core.sums = core.folder
        core.calls.clear()
        await engine.load(same)
        assert engine.weights().weight_version == same.version
        assert "reset_encoder_cache" not in core.calls, "the same tensors make the same image features"

    play(store, scene)


def in_two_files(former: Path, folder: Path) -> None:
    shutil.copytree(former, folder)
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    for number, half in enumerate((names[::2], names[1::2])):
        save_file({name: tensors[name] for name in half}, folder / f"part-{number}.safetensors", {"format": "pt"})
    (folder / "model.safetensors").unlink()


def test_an_engine_that_died_unasked_is_not_ready_and_the_next_load_replaces_it(
    store: ArtefactStore, warm: ArtefactRef
) -> None:
    async def scene(engine: VllmEngine, cores: FakeCores) -> None:
        await engine.load(warm)
        cores.made[0].errored = True
        assert not engine.weights().ready
        with pytest.raises(Unavailable, match="no weights are loaded"):
            await sample(engine)
        await engine.load(warm)
        assert engine.weights().ready and len(cores.made) == 2

    play(store, scene)


def test_who_is_being_served_when_the_service_ends_is_told(store: ArtefactStore, warm: ArtefactRef) -> None:
    async def scene(engine: VllmEngine, cores: FakeCores) -> None:
        await engine.load(warm)
        cores.made[0].hangs.add("generate")
        waiting = asyncio.ensure_future(sample(engine))
        while "generate" not in cores.made[0].calls:
            assert not waiting.done(), "it ended before the engine was asked"
            await asyncio.sleep(0.001)
        await engine.close()
        with pytest.raises(Unavailable, match="stopped"):
            await waiting

    play(store, scene)


@pytest.mark.parametrize(("freed", "lives"), [(95, True), (40, False)])
def test_an_engine_that_keeps_memory_in_its_sleep_is_ended(
    store: ArtefactStore, warm: ArtefactRef, newer: ArtefactRef, freed: int, lives: bool
) -> None:
    async def scene(engine: VllmEngine, cores: FakeCores) -> None:
        await engine.load(warm)
        core: FakeCore = cores.made[0]
        core.freed = freed
        await engine.sleep()
        assert not engine.weights().ready
        assert core.ended.is_set() is not lives
        await engine.load(newer)
        assert ("wake_up" in core.calls) is lives
        assert (await sample(engine)).weight_version == newer.version

    play(store, scene)


def test_tokens_without_rows_are_refused_before_the_engine_is_touched(
    store: ArtefactStore, warm: ArtefactRef, tmp_path: Path
) -> None:
    """By itself vLLM takes a token without a row, and gives numbers of whatever lies there."""
    folder = Path(shutil.copytree(store.path(warm.id) / "model", tmp_path / "grown"))
    found = json.loads((folder / "tokenizer.json").read_text())
    found["added_tokens"].append(found["added_tokens"][-1] | {"id": 474, "content": "<think>", "special": False})
    (folder / "tokenizer.json").write_text(json.dumps(found))

    async def scene(engine: VllmEngine, cores: FakeCores) -> None:
        await engine.load(warm)
        before = list(cores.made[0].calls)
        with pytest.raises(InvalidInput, match=r"has token '<think>' with id 474, and the model has rows for 474"):
            await engine.load_folder(folder)
        assert engine.weights().weight_version == warm.version and cores.made[0].calls == before

    play(store, scene)
