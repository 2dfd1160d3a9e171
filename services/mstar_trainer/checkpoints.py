"""Checkpoint artefacts: `model/` as plain transformers loads it, `optimizer/` in safetensors, `trainer_state.json`.

With LoRA, `model/` holds the merged weights and `adapter/` the adapters as peft loads them. Tensors are gathered and
written one after the other, so no rank ever holds the whole model or optimizer.

DeepSpeed's own checkpoint files are not used: they are pickles, and its `latest` can point at half a checkpoint. Here
one manifest covers everything, and the artefact store writes it last. Random states are not saved, because every
train step seeds its generators from the recipe's seed and its own name: repeating it is exact by construction.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from mstar.errors import InvalidInput, StorageFull
from mstar.prm_schemes import DECLARATION, LabelTokens, declaration
from mstar.probes import Probe
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.checkpoint import FINITE
from mstar_models.probing import write_probe
from mstar_trainer.adapters import ADAPTER, save_adapters
from mstar_trainer.deepspeed_engine import TrainingEngine
from mstar_trainer.state import STATE, TrainerState
from mstar_trainer.weight_files import write_weights

MODEL = "model"
OPTIMIZER = "optimizer"
SPARE = 1.1
"""Free disk required, as a multiple of the size of the checkpoint's tensors."""
SHARD_BYTES = 2 * 1024**3
"""Size of one file of moments, so that rank 0 never holds all of them."""


def save(
    store: ArtefactStore,
    artefact: str,
    engine: TrainingEngine,
    parent: Path,
    state: TrainerState,
    scheme: LabelTokens | None = None,
    probe: Probe | None = None,
) -> ArtefactRef:
    """Write the checkpoint; all ranks must call it together, and rank 0 writes.

    `parent` is the folder of the parent's artefact: tokenizer and processor files are copied from there. `scheme`: how
    a reward model scores steps, which its folder then declares. `probe`: what the weights say.
    Raises StorageFull, or InvalidInput when a weight is
    not finite.
    """
    if engine.rank == 0:
        wanted = int(SPARE * (engine.weight_bytes() + engine.moment_bytes()))
        store.make_room(wanted)
        require_space(store.root, wanted)
    lora = state.settings.lora if state.settings else None

    def fill(folder: Path) -> None:
        _copy_all_but_weights(parent / MODEL, folder / MODEL)
        write_weights(folder / MODEL, engine.model, engine.weights(), artefact)
        if scheme is not None:
            # Without it a folder whose labels are `+` and `-` looks like any vision-language model.
            (folder / MODEL / DECLARATION).write_text(declaration(scheme))
        if lora:
            save_adapters(folder / ADAPTER, engine.adapters(), engine.model, lora)
        _write_shards(folder / OPTIMIZER, engine.moments())
        (folder / STATE).write_text(state.model_dump_json(indent=2))
        if probe is not None:
            write_probe(folder, probe)

    metadata = {"kind": "checkpoint", "parent": state.parent, "global_step": state.global_step, FINITE: True}
    if engine.rank == 0:
        store.write(artefact, fill, metadata)
    else:
        # If rank 0 fails in `fill`, the others wait here until the worker kills the group (`resident`).
        _gather_along(engine, adapters=lora is not None)
    engine.barrier()
    ref = store.find(artefact)
    assert ref is not None, f"rank 0 passed the barrier without writing {artefact}"
    return ref


def _gather_along(engine: TrainingEngine, *, adapters: bool) -> None:
    """Each tensor is gathered from all ranks, so those that write nothing must take the same way as rank 0."""
    for _ in engine.weights():
        pass
    if adapters:
        engine.adapters()
    for _ in engine.moments():
        pass


def require_space(folder: Path, wanted: int) -> None:
    """Raise StorageFull when the disk of `folder` has fewer than `wanted` bytes free, before anything is written."""
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise StorageFull(
            f"a checkpoint needs {wanted / 1e6:.0f} MB below {folder.name} but {free / 1e6:.0f} MB are free: free some "
            "disk, then resume the run"
        )


def load_moments(engine: TrainingEngine, folder: Path, step: int) -> None:
    """Load the optimizer state of the checkpoint in `folder` into a new engine.

    Moments of parameters that are frozen now are skipped. Raises InvalidInput when one that is trained has none.
    """
    engine.begin_at(step)
    wanted = engine.moment_names()
    for file in sorted((folder / OPTIMIZER).glob("*.safetensors")):
        # Mapped, and read tensor by tensor: every rank opens the same files and needs a part of each.
        with safe_open(file, framework="pt") as tensors:
            for name in wanted.intersection(tensors.keys()):
                engine.set_moment(name, tensors.get_tensor(name))
                wanted.discard(name)
    if wanted:
        raise InvalidInput(
            f"the parent checkpoint has no optimizer state for {min(wanted)!r}: train the same parameters as before, "
            "or set evolution.optimizer to fresh",
            field="carry_optimizer",
        )


def _copy_all_but_weights(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.safetensors", "*.safetensors.index.json"))


def _write_shards(folder: Path, tensors: Iterator[tuple[str, Tensor]]) -> None:
    """Write named tensors of any shape to numbered safetensors files."""
    folder.mkdir()
    shard: dict[str, Tensor] = {}
    number = 0
    for name, tensor in tensors:
        shard[name] = tensor.contiguous()
        if sum(t.nbytes for t in shard.values()) >= SHARD_BYTES:
            save_file(shard, folder / f"{number:05d}.safetensors")
            shard, number = {}, number + 1
    if shard:
        save_file(shard, folder / f"{number:05d}.safetensors")
