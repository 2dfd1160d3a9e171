"""Peak memory of real training updates on this CPU beside what `mstar plan` reckons: `python -m benchmarks.memory`.

Every case is a process of its own, and its memory is the growth of its resident set over the imports. All blocks are
mapped one by one, so that the set is what is in use. The page that it writes is memory.md.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mstar_trainer.loss import MicroBatch

HERE = Path(__file__).parent
MEGA = 1e6
QUESTIONS = 8
TEXT = {
    "hidden_size": 320,
    "intermediate_size": 1280,
    "num_hidden_layers": 10,
    "num_attention_heads": 10,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
QWEN_VISION = {"depth": 6, "hidden_size": 160, "num_heads": 5, "intermediate_size": 480, "out_hidden_size": 320}
INTERN_VISION = {
    "hidden_size": 160,
    "intermediate_size": 640,
    "num_hidden_layers": 6,
    "num_attention_heads": 5,
}
SIZES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "qwen2_5_vl": (TEXT, QWEN_VISION),
    "internvl": (TEXT, INTERN_VISION),
}
SIDE = {"qwen2_5_vl": 224, "internvl": 56}
"""Of the pictures in pixels."""
CASES: dict[str, dict[str, Any]] = {
    "full, ZeRO 2": {},
    "full, checkpointing": {"gradient_checkpointing": True},
    "full, ZeRO 3": {"zero_stage": 3},
    "full, SGD": {"optimizer": "sgd"},
    "full, bf16": {"dtype": "bf16"},
    "frozen vision": {"freeze_vision": True},
    "LoRA": {"lora": {"rank": 8}, "freeze_vision": True},
    "LoRA, checkpointing": {"lora": {"rank": 8}, "freeze_vision": True, "gradient_checkpointing": True},
}

OTHERS = ("full, ZeRO 2", "LoRA, checkpointing")
"""What is measured of every model but the first."""


def main() -> None:
    """Measure every case, print it, and write the page."""
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], json.loads(sys.argv[3]))))
        return
    lines = []
    for family in SIZES:
        for name, options in CASES.items():
            if family != next(iter(SIZES)) and name not in OTHERS:
                continue
            found = _measured(family, options)
            lines.append(_line(family, name, found))
            print(lines[-1], flush=True)
    page = (
        "# Memory of training, planned and measured\n\n"
        "`python -m benchmarks.memory` on a CPU: peaks of three real updates under DeepSpeed, in MB, beside what "
        "`mstar plan`\nreckons for the same tokens and pictures. No GPU is in this table. A process takes some 50 "
        "to 100 MB besides, which\nis not planned and weighs most where little is needed.\n\n"
        "| model | training | weights, M | planned | measured | off by | after loading |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    (HERE / "memory.md").write_text(page + "\n".join(lines) + "\n")


def _measured(family: str, options: dict[str, Any]) -> dict[str, float]:
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        # Otherwise freed blocks below a growing bound stay with the process.
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "MALLOC_TRIM_THRESHOLD_": "65536",
        "DS_ACCELERATOR": "cpu",
    }
    command = [sys.executable, "-m", "benchmarks.memory", "--measure", family, json.dumps(options)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _line(family: str, name: str, found: dict[str, float]) -> str:
    off = found["planned"] / found["measured"] - 1
    return (
        f"| {family} | {name} | {found['parameters'] / MEGA:.1f} | {found['planned'] / MEGA:.0f} | "
        f"{found['measured'] / MEGA:.0f} | {off:+.0%} | {found['loaded'] / MEGA:.0f} |"
    )


def measure(family: str, options: dict[str, Any]) -> dict[str, float]:
    """Bytes of one case: what the plan says, what the process grew to, and what it had after loading."""
    with _folder(family) as folder, _alone():
        from mstar.train_recipe import TrainRecipe

        settings = TrainRecipe.model_validate({"micro_tokens": 2048, "batch_size": QUESTIONS} | options)
        return _run(folder, settings)


def _run(root: Path, settings: Any) -> dict[str, float]:
    from mstar.memory_plan import training_memory
    from mstar_models.loading import load_model
    from mstar_trainer.adapters import attach
    from mstar_trainer.deepspeed_engine import TrainingEngine, dtype_of
    from mstar_trainer.loss import ResponseLoss
    from mstar_trainer.parts import freeze, vision_tower
    from mstar_trainer.vision import FrozenTower

    batches = _batches(root, settings.micro_tokens)
    places = sum(len(batch.targets) for batch in batches)
    tokens = max(batch.inputs["input_ids"].numel() for batch in batches)
    begun = _forget_peak()
    model = load_model(root / "model", dtype_of(settings))
    for parameter in model.parameters():
        # What is frozen would otherwise stay in the mapped file, with all of its pages.
        parameter.data = parameter.data.clone()
    freeze(model, settings)
    if settings.lora:
        attach(model, settings)
    frozen = FrozenTower(model, vision_tower(model)) if settings.freeze_vision and settings.zero_stage < 3 else None
    engine = TrainingEngine(ResponseLoss(model, frozen), model, settings)
    loaded = _resident() - begun
    for _ in range(3):
        engine.update([(batch, 1 / places) for batch in batches], 1e-5)
    shape = _shape(root / "model", batches)
    memory = training_memory(
        shape, settings, gpu=False, tokens=tokens, places=max(len(batch.targets) for batch in batches)
    )
    return {
        "parameters": shape.weights.parameters,
        "planned": memory.total,
        "measured": _peak() - begun,
        "loaded": loaded,
        "tokens": tokens,
        **{f"plan {key}": value for key, value in memory.model_dump().items()},
    }


def _batches(root: Path, tokens: int) -> "list[MicroBatch]":
    """Micro-batches of real trees. The model that encoding asks for its layout is gone once they are there."""
    import torch

    from mstar_artefacts.storage import Storage
    from mstar_models.loading import load_model
    from mstar_trainer.encoding import ExampleEncoder, micro_batches

    encoder = ExampleEncoder(root / "model", Storage(home=root), load_model(root / "model", torch.float32))
    return micro_batches(encoder.trees(_groups(root), tokens), tokens, torch.device("cpu"))


def _shape(folder: Path, batches: Any) -> Any:
    """As the plan has it, with the image tokens and patches of these batches."""
    from mstar.model_folder import read_shape

    batch = batches[0]
    images = len(batch.images)
    ids = batch.inputs["input_ids"]
    config = json.loads((folder / "config.json").read_text())
    tokens = int((ids == config["image_token_id"]).sum()) // images
    pixels = batch.inputs["pixel_values"]
    patches = len(pixels) // images if pixels.dim() == 2 else (pixels.shape[-1] // 7) ** 2 * len(pixels) // images
    return read_shape(folder).model_copy(update={"image_tokens": tokens, "patches": patches})


def _groups(root: Path) -> Any:
    from PIL import Image

    from mstar_artefacts.images import ImageStore
    from mstar_trainer.batches import Example, grouped

    store, family = ImageStore(root / ".mstar" / "images"), json.loads((root / "model/config.json").read_text())
    side, examples = SIDE[family["model_type"]], []
    for question in range(QUESTIONS):
        out = io.BytesIO()
        Image.new("RGB", (side, side), (12 * question, 90, 200)).save(out, "PNG")
        image = store.put(out.getvalue())
        steps = tuple(f"The sum {place} is " + "3 + 4 = 7. " * 12 for place in range(3))
        examples.append(Example(f"How many bars are there in {question}?", (image,), steps))
    return grouped(examples)


@contextmanager
def _folder(family: str) -> Iterator[Path]:
    from family_folders import write_folder
    from model_families import FAMILIES

    known = next(one for one in FAMILIES if one.name == family)
    text, vision = SIZES[family]

    def config(ids: Any) -> dict[str, Any]:
        settings = known.config(ids)
        settings["text_config"] = {k: v for k, v in settings["text_config"].items() if k != "layer_types"} | text
        rope = settings["text_config"].get("rope_parameters") or settings["text_config"].get("rope_scaling")
        if rope and "mrope_section" in rope:
            rope["mrope_section"] = [4, 6, 6]
        settings["vision_config"] = settings["vision_config"] | vision
        return settings

    with tempfile.TemporaryDirectory(prefix="mstar-memory-") as root:
        write_folder(replace(known, config=config), Path(root) / "model")
        yield Path(root)


@contextmanager
def _alone() -> Iterator[None]:
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    from mstar_trainer.deepspeed_engine import join_ranks

    with tempfile.TemporaryDirectory(prefix="mstar-memory-") as folder:
        join_ranks(0, 1, f"file://{folder}/meeting")
        yield


def _forget_peak() -> float:
    """Resident bytes now, from which the peak is counted again (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    return _resident()


def _resident() -> float:
    return _status("VmRSS")


def _peak() -> float:
    return _status("VmHWM")


def _status(key: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return 1024.0 * int(line.split()[1])


if __name__ == "__main__":
    main()
