"""`PUT /v1/weights` of a model of some size, against reading and copying the same safetensors."""

import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import httpx2
import torch
from safetensors.torch import load_file

from benchmarks.material import base_checkpoint, home
from benchmarks.measure import Pairs, Row, by_cost, compare, cpu_of, sized
from benchmarks.rollouts import served
from minivista.architecture import make_model, make_processor
from mstar_artefacts.digests import BLAKE3, digests_of
from mstar_trainer.weight_files import SHARD_BYTES

WIDTH, LAYERS = sized((768, 12), (64, 2))


def _model(folder: Path, seed: int) -> None:
    """The small architecture at some ninety million random weights."""
    torch.manual_seed(seed)
    processor = make_processor()
    small = make_model(processor.tokenizer)
    config = small.config
    config.text_config.hidden_size, config.text_config.num_hidden_layers = WIDTH, LAYERS
    config.text_config.intermediate_size, config.text_config.head_dim = 4 * WIDTH, WIDTH // 4
    type(small)(config).save_pretrained(folder, max_shard_size=SHARD_BYTES)
    processor.save_pretrained(folder)


class Push:
    """Two checkpoints that are pushed in turn, and a copy of one that the other side reads."""

    def __init__(self, root: Path, scratch: Path, client: httpx2.Client, pid: int) -> None:
        self._client, self._pid, self._root = client, pid, root
        self._checkpoints = []
        for seed in range(2):
            _model(scratch / str(seed), seed)
            self._checkpoints.append(base_checkpoint(root, f"r-0/it{seed:02d}", scratch / str(seed)))
        self.files = sorted((scratch / "0").glob("*.safetensors"))
        self._live = {name: tensor.clone() for file in self.files for name, tensor in load_file(file).items()}
        self._turn = 0

    def ours(self, *, cold: bool) -> dict[str, float]:
        self._turn += 1
        ref = self._checkpoints[self._turn % 2]
        if cold:
            _forget((self._root / ref.id / "model").glob("*.safetensors"))
        cpu, wall = cpu_of(self._pid), time.perf_counter()
        body = {"artefact": ref.id, "manifest_sha256": ref.sha256}
        self._client.put("/v1/weights", json=body).raise_for_status()
        return {"wall": time.perf_counter() - wall, "cpu": cpu_of(self._pid) - cpu}

    def theirs(self, *, cold: bool) -> dict[str, float]:
        if cold:
            _forget(self.files)
        cpu, wall = time.process_time(), time.perf_counter()
        for file in self.files:
            for name, tensor in load_file(file).items():
                self._live[name].copy_(tensor)
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def _forget(files: Iterable[Path]) -> None:
    """Have the next reader fetch these files from the disk: a service on another machine has them in no memory."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch, home(1) as root, served(root) as (client, pid):
        push = Push(root, Path(scratch), client, pid)
        rows = []
        for cold in (True, False):
            pairs = compare(lambda cold=cold: push.ours(cold=cold), lambda cold=cold: push.theirs(cold=cold))  # type: ignore[misc]
            rows.append(_row(pairs, push.files, cold=cold))
        return rows


def _row(pairs: Pairs, files: Sequence[Path], *, cold: bool) -> Row:
    began = time.process_time()
    digests_of([(file, BLAKE3) for file in files])
    counted = {
        "megabytes": sum(file.stat().st_size for file in files) / 1e6,
        "CPU-s of BLAKE3 alone": time.process_time() - began,
    }
    where = "from the disk" if cold else "in memory already"
    return by_cost(
        f"weight push, files {where}",
        pairs,
        "reading and copying the same safetensors",
        1 / 1.3,
        unit="wall",
        target="<= 1.3 x its time",
        counted=counted,
        note="weights are hashed while they are loaded, and served once both are done; the other side hashes nothing",
    )
