"""What `mstar plan` says before a run: memory that adds up, what to change, disk and work."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mstar.cli.main import app
from mstar.cli.recipe_files import read_recipe
from mstar.errors import InvalidInput
from mstar.known_shapes import known_shape
from mstar.memory_plan import BUCKET, checkpoint_bytes, trained_parameters, training_memory
from mstar.model_folder import read_shape
from mstar.model_shape import ModelPart, ModelShape, WeightCounts
from mstar.recipes import parse_recipe
from mstar.run_plan import GIGA, Habits, Machine, plan_run, plan_training
from mstar.train_recipe import TrainRecipe

MODEL = Path(__file__).parents[2] / "shared" / "minivista" / "model"
STUDY = MODEL.parent / "study" / "model"
PUBLISHED = {
    "Qwen2.5-VL-3B-Instruct": 3.75e9,
    "Qwen2.5-VL-7B-Instruct": 8.29e9,
    "MiniCPM-Llama3-V-2_5": 8.54e9,
    "Phi-3.5-vision-instruct": 4.15e9,
    "InternVL2-2B": 2.21e9,
}
NAMES = ("minicpm-v-2.5", "phi-3.5-vision", "internvl2-2b", "qwen2.5-vl-3b", "qwen2.5-vl-7b")


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_known_model_has_as_many_weights_as_it_was_published_with(name: str) -> None:
    assert known_shape(name).weights.parameters == pytest.approx(PUBLISHED[name], rel=0.01)


def test_a_folder_is_counted_by_its_files() -> None:
    for folder, name, parameters in (
        (MODEL, "builtin:minivista", 1_085_376),
        (STUDY, "builtin:minivista-study", 269_120),
    ):
        _is_counted(folder, name, parameters)


def _is_counted(folder: Path, name: str, parameters: int) -> None:
    read, known = read_shape(folder), known_shape(name)
    assert read.weights.parameters == parameters
    assert known.weights.parameters == pytest.approx(read.weights.parameters, rel=0.02)
    same = (
        "hidden",
        "layers",
        "heads",
        "kv_heads",
        "head_dim",
        "intermediate",
        "vocabulary",
        "image_tokens",
        "patches",
    )
    assert [getattr(read, key) for key in same] == [getattr(known, key) for key in same]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"no model known by name: InternVL2-2B.*Qwen2\.5-VL-7B-Instruct"):
        known_shape("gpt-9")


@pytest.mark.parametrize("name", [*(f"models/{name}-full" for name in NAMES), "paper"])
def test_full_tuning_fits_on_eight_gpus_of_80_gb(name: str) -> None:
    fits(name, 8)


@pytest.mark.parametrize("name", [f"models/{name}-lora" for name in NAMES])
def test_adapters_fit_on_one_gpu_of_80_gb(name: str) -> None:
    fits(name, 1)


def fits(name: str, gpus: int) -> None:
    recipe = read_recipe(name, [])
    made = plan_run(recipe, known_shape(Path(recipe.model.base).name), machine(gpus), Habits())
    assert made.fits, [service.name for service in made.services if not service.fits]
    assert made.gpu_hours > 0 and made.disk > 0


def machine(gpus: int, gigabytes: float = 80) -> Machine:
    return Machine(gpus=gpus, gpu_bytes=int(gigabytes * GIGA))


def test_what_does_not_fit_says_what_to_change_and_then_it_fits() -> None:
    recipe = read_recipe(
        "models/qwen2.5-vl-7b-full", ["evolution.train.ranks=1", "evolution.train.gradient_checkpointing=false"]
    )
    shape = known_shape("Qwen2.5-VL-7B-Instruct")
    service = next(one for one in plan_run(recipe, shape, machine(8), Habits()).services if "evolution" in one.name)
    assert not service.fits
    assert service.remedies[0] == "gradient_checkpointing: true" and "ranks: 8" in service.remedies
    changes: dict[str, Any] = {}
    for remedy in service.remedies:
        key, _, value = remedy.partition(": ")
        changes[key] = json.loads(value)
    changed = recipe.evolution.train.model_copy(update=changes)
    assert training_memory(shape, changed).total <= service.room


def test_more_ranks_than_gpus_do_not_fit() -> None:
    recipe = read_recipe("models/qwen2.5-vl-3b-full", [])
    made = plan_run(recipe, known_shape("Qwen2.5-VL-3B-Instruct"), machine(2), Habits())
    assert not made.fits
    assert any("ranks is 8 and there are 2 GPUs" in remedy for one in made.services for remedy in one.remedies)


def test_a_prm_of_its_own_is_planned_by_its_own_shape() -> None:
    recipe = read_recipe("models/qwen2.5-vl-3b-full", ["prm.base=/models/Qwen2.5-VL-7B-Instruct"])
    small, large = known_shape("Qwen2.5-VL-3B-Instruct"), known_shape("Qwen2.5-VL-7B-Instruct")
    alone, made = (plan_run(recipe, small, machine(8), Habits(), prm) for prm in (None, large))
    assert recipe.prm is not None and recipe.prm.train is not None
    before, after = ({one.name: one.total for one in plan.services} for plan in (alone, made))
    assert {name for name in before if before[name] != after[name]} == {"prm", "trainer: prm"}
    assert after["trainer: prm"] == plan_training("prm", recipe.prm.train, large, machine(8)).total
    longer = {one.name for one, own in zip(made.work, alone.work, strict=True) if one.gpu_hours > own.gpu_hours}
    assert longer == {one.name for one in made.work if "score" in one.name or one.name == "prm: train"}
    assert made.disk > alone.disk and made.prm == large


SETTINGS = st.builds(
    TrainRecipe,
    ranks=st.sampled_from([1, 2, 8]),
    zero_stage=st.sampled_from([1, 2, 3]),
    freeze_vision=st.booleans(),
    batch_size=st.just(128),
    micro_tokens=st.sampled_from([2048, 8192]),
)


@given(SETTINGS)
def test_each_remedy_lowers_the_memory(settings: TrainRecipe) -> None:
    shape = known_shape("Qwen2.5-VL-7B-Instruct")
    before = training_memory(shape, settings).total
    for change in (
        {"gradient_checkpointing": True},
        {"micro_tokens": 1024},
        {"offload_optimizer": True},
        {"lora": {"rank": 16}},
        {"optimizer": "sgd"},
        {"freeze_projector": True, "freeze_vision": True},
    ):
        after = training_memory(shape, TrainRecipe.model_validate(settings.model_dump() | change)).total
        assert after <= before, change


def test_the_sums_are_those_of_zero() -> None:
    """16 bytes a weight in bf16 under AdamW (arXiv 1910.02054, section 3.1), and 4 for gradients in fp32."""
    shape = known_shape("Qwen2.5-VL-7B-Instruct")
    memory = training_memory(shape, TrainRecipe(zero_stage=1))
    parameters = shape.weights.parameters
    assert memory.weights == 2 * parameters and memory.optimizer == 12 * parameters
    assert memory.gradients == 6 * parameters + 4 * BUCKET
    eight = training_memory(shape, TrainRecipe(zero_stage=2, ranks=8))
    assert eight.optimizer == pytest.approx(memory.optimizer / 8, rel=1e-6)
    assert eight.gradients == pytest.approx(6 * parameters / 8 + 4 * BUCKET, rel=1e-6)


def test_quantized_weights_take_a_third() -> None:
    shape = known_shape("Qwen2.5-VL-7B-Instruct")
    plain = training_memory(shape, TrainRecipe.model_validate({"lora": {"rank": 16}})).weights
    small = training_memory(shape, TrainRecipe.model_validate({"lora": {"rank": 16, "quantize": True}})).weights
    assert 0.3 < small / plain < 0.5


def test_a_checkpoint_of_a_bf16_base_is_six_to_seven_times_its_size() -> None:
    weights = known_shape("InternVL2-2B").weights
    sizes = {
        kind: checkpoint_bytes(weights, TrainRecipe.model_validate({"dtype": kind}))
        for kind in ("fp32", "bf16", "auto")
    }
    assert sizes["fp32"] == 6 * weights.stored and sizes["bf16"] == 7 * weights.stored == sizes["auto"]
    lora = TrainRecipe.model_validate({"lora": {"rank": 16}, "dtype": "bf16"})
    assert checkpoint_bytes(weights, lora) == weights.stored + 14 * trained_parameters(weights, lora)


def test_equal_updates_cost_the_same_whatever_is_kept() -> None:
    def hours(mode: str) -> float:
        values = {"name": "x", "prm": None, "exploration": {"mode": "fixed"}}
        evolution = {"updates": 400, "selection": {"mode": mode}, "n": 4}
        made = plan_run(
            parse_recipe(values | {"evolution": evolution}), known_shape("InternVL2-2B"), machine(1), Habits()
        )
        return next(part.gpu_hours for part in made.work if part.name == "iterations: train")

    assert hours("all") == pytest.approx(hours("random"))


def test_the_command_prints_tables_and_fails_when_it_does_not_fit() -> None:
    good = CliRunner().invoke(app, ["plan", "models/qwen2.5-vl-7b-lora", "--gpus", "1", "--gpu-memory", "80"])
    assert good.exit_code == 0, good.output
    assert "Assumed, not measured" in good.output and "trainer: evolution" in good.output
    bad = CliRunner().invoke(app, ["plan", "paper", "--gpus", "8", "--gpu-memory", "24", "--json"])
    assert bad.exit_code == 1
    made = json.loads(bad.output)
    assert made["fits"] is False and made["gpu_hours"] > 10


def test_a_folder_and_a_file_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\n")
    done = CliRunner().invoke(
        app, ["plan", str(file), "--model", str(MODEL), "--json", "--set", "evolution.iterations=2"]
    )
    assert done.exit_code == 0 and json.loads(done.output)["model"]["hidden"] == 128


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("tokenizer.json", None, "has no tokenizer"),
        ("chat_template.jinja", None, "has no chat template"),
        ("config.json", {"model_type": "nope"}, "nope"),
        ("processor_config.json", {"image_seq_len": 8}, "prepares images for another vision tower than it has"),
    ],
)
def test_a_folder_that_a_server_would_refuse_is_refused(
    tmp_path: Path, file: str, change: dict[str, Any] | None, said: str
) -> None:
    folder = Path(shutil.copytree(MODEL, tmp_path / "model"))
    if change is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("name: mine\n")
    done = CliRunner().invoke(app, ["plan", str(recipe), "--model", str(folder)])
    assert isinstance(done.exception, InvalidInput) and said in str(done.exception)


def test_a_run_that_is_too_large_for_any_server_is_refused() -> None:
    done = CliRunner().invoke(app, ["plan", "paper", "--set", "generation.shard_questions=1"])
    assert isinstance(done.exception, InvalidInput) and "raise generation.shard_questions" in str(done.exception)


QWEN_2B = ModelShape(
    name="Qwen2.5-VL at the size of Qwen2-VL-2B",
    weights=WeightCounts(
        vision=ModelPart(parameters=631_975_680, linear=696_960, matrices=629_964_800),
        projector=ModelPart(parameters=34_086_656, linear=16_896, matrices=34_078_720),
        language=ModelPart(parameters=1_310_340_608, linear=1_154_048, matrices=1_310_195_712),
        embedding=233_373_696,
        stored=4_419_553_280,
    ),
    hidden=1536,
    layers=28,
    heads=12,
    kv_heads=2,
    head_dim=128,
    intermediate=8960,
    vocabulary=151_936,
    vision_hidden=1280,
    vision_layers=32,
    vision_intermediate=3420,
)
MEASURED = {
    "2b/zero0": {"zero_stage": 0},
    "2b/zero2": {"zero_stage": 2},
    "2b/zero3": {"zero_stage": 3},
    "2b/checkpointing": {"gradient_checkpointing": True},
    "2b/offload": {"offload_optimizer": True},
    "2b/offload-parameters": {"zero_stage": 3, "offload_optimizer": True, "offload_parameters": True},
    "2b/qlora": {"lora": {"rank": 16, "quantize": True}},
    "8b/lora": {"lora": {"rank": 16}},
    "8b/lora-checkpointing": {"lora": {"rank": 16}, "gradient_checkpointing": True},
    "8b/zero3-checkpointing": {"zero_stage": 3, "gradient_checkpointing": True},
}


@pytest.mark.parametrize("row", sorted(MEASURED))
def test_the_plan_is_close_to_what_a_gpu_took(row: str) -> None:
    """Peaks on an H200 (docs/gpu-runs.md)."""
    lines = (Path(__file__).parents[2] / "benchmarks" / "gpu.jsonl").read_text().splitlines()
    found = {record["row"]: record["result"] for record in map(json.loads, lines) if "result" in record}[f"train/{row}"]
    known = QWEN_2B if row.startswith("2b") else known_shape("Qwen2.5-VL-7B-Instruct")
    images, patches = found["images"], found["patches"]
    shape = known.model_copy(update={"image_tokens": patches // images // 4, "patches": patches // images})
    settings = TrainRecipe.model_validate({"batch_size": 64, "freeze_vision": True} | MEASURED[row])
    memory = training_memory(shape, settings, tokens=found["most tokens"], places=found["most places"])
    assert memory.total / GIGA == pytest.approx(found["peak GB"], rel=0.1)


def test_a_full_training_that_ran_out_of_memory_on_150_gb_is_not_planned_there() -> None:
    settings = TrainRecipe(zero_stage=2, freeze_vision=True)
    assert training_memory(known_shape("Qwen2.5-VL-7B-Instruct"), settings).total > 150 * GIGA
