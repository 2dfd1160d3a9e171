"""`PUT /v1/weights` of a model of some size, against reading and copying the same safetensors."""

import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from benchmarks.material import base_checkpoint, home
from benchmarks.measure import Row, compare, cpu_of
from benchmarks.rollouts import served
from minivista.architecture import make_model, make_processor
from mstar_artefacts.store import hash_file
from mstar_trainer.checkpoints import WEIGHT_SHARD

WIDTH, LAYERS = 768, 12


def _model(folder: Path, seed: int) -> None:
    """The small architecture at some ninety million random weights."""
    torch.manual_seed(seed)
    processor = make_processor()
    small = make_model(processor.tokenizer)
    config = small.config
    config.text_config.hidden_size, config.text_config.num_hidden_layers = WIDTH, LAYERS
    config.text_config.intermediate_size, config.text_config.head_dim = 4 * WIDTH, WIDTH // 4
    type(small)(config).save_pretrained(folder, max_shard_size=WEIGHT_SHARD)
    processor.save_pretrained(folder)


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch, home(1) as root, served(root) as (client, pid):
        checkpoints = []
        for seed in range(2):
            folder = Path(scratch) / str(seed)
            _model(folder, seed)
            checkpoints.append(base_checkpoint(root, f"r-0/it{seed:02d}", folder))
        files = sorted((root / checkpoints[0].id / "model").glob("*.safetensors"))
        live = {name: tensor.clone() for file in files for name, tensor in load_file(file).items()}
        turn = 0

        def ours() -> dict[str, float]:
            nonlocal turn
            turn += 1
            ref = checkpoints[turn % 2]
            cpu = cpu_of(pid)
            client.put("/v1/weights", json={"artefact": ref.id, "manifest_sha256": ref.sha256}).raise_for_status()
            return {"cpu": cpu_of(pid) - cpu}

        def theirs() -> dict[str, float]:
            began = time.process_time()
            for file in files:
                for name, tensor in load_file(file).items():
                    live[name].copy_(tensor)
            return {"cpu": time.process_time() - began}

        pairs = compare(ours, theirs)
        began = time.process_time()
        for file in files:
            hash_file(file)
        hashing = time.process_time() - began
        size = sum(file.stat().st_size for file in files)
    mine, other = pairs.median("ours", "wall"), pairs.median("other", "wall")
    return [
        Row(
            "weight push",
            mine,
            other,
            other / mine,
            "<= 1.5 x its time",
            mine <= 1.5 * other,
            len(pairs.ours),
            "s",
            "reading and copying the same safetensors",
            {
                "megabytes": size / 1e6,
                "CPU-s": pairs.median("ours", "cpu"),
                "CPU-s, other": pairs.median("other", "cpu"),
                "CPU-s of SHA-256 alone": hashing,
            },
            "weights are hashed, a file on each core, before any is loaded; the other side trusts what it reads",
        )
    ]
