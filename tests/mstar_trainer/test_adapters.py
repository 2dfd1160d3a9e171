"""LoRA in real DeepSpeed processes: only adapters train, they resume exactly, and the merged weights are equal."""

import json
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file

from architectures import ARCHITECTURES
from mstar.errors import InvalidInput
from mstar.memory_plan import checkpoint_bytes
from mstar.model_folder import read_weights
from mstar.prompts import PRESETS, PromptPreset
from mstar.train_recipe import LoraRecipe, TrainRecipe
from mstar_models.labels import label_token_ids
from mstar_models.loading import load_model
from mstar_trainer.adapters import adapter_parameters, attach
from mstar_trainer.batches import grouped, sft_examples
from mstar_trainer.encoding import ExampleEncoder, micro_batches
from mstar_trainer.loss import ResponseLoss
from mstar_trainer.parts import freeze
from mstar_trainer.protocol import Done
from mstar_trainer.state import read_state
from trainer_bench import GENTLE, MODEL, Bench, Lab, weights

PLAIN = PRESETS[PromptPreset.MINIVISTA]
LORA = LoraRecipe(rank=4, alpha=8)
pytestmark = pytest.mark.training
SLOW = pytest.mark.slow


def adapting(**options: Any) -> TrainRecipe:
    return TrainRecipe.model_validate(GENTLE.model_dump() | {"lora": LORA, "learning_rate": 3e-3} | options)


def full(**options: Any) -> TrainRecipe:
    return TrainRecipe.model_validate(GENTLE.model_dump() | options)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("lora") / "home")
    yield lab
    lab.trainer.close()


def remove(lab: Lab, *names: str) -> None:
    for name in names:
        shutil.rmtree(lab.bench.store.path(f"r-1/{name}"), ignore_errors=True)


@pytest.fixture(scope="module")
def trained(lab: Lab) -> Done:
    return lab.train("lora/train", "it01/select", settings=adapting())


def test_only_linear_layers_change_and_the_optimizer_is_that_of_the_adapters(lab: Lab, trained: Done) -> None:
    assert trained.result.last_loss < trained.result.first_loss
    folder, before = lab.folder("lora/train"), weights(lab.folder("prepare"))
    after = weights(folder)
    assert set(after) == set(before), "merged: the names of a model without adapters"
    changed = {name for name in before if not torch.equal(before[name].float(), after[name])}
    assert changed and all(before[name].dim() == 2 for name in changed)
    assert not any("embed" in name or "norm" in name or "lm_head" in name for name in changed)
    adapters = load_file(folder / "adapter" / "adapter_model.safetensors")
    moments = load_file(folder / "optimizer" / "00000.safetensors")
    assert sum(t.numel() for t in moments.values()) == 2 * sum(t.numel() for t in adapters.values())
    state = read_state(folder)
    assert state is not None and state.base == lab.bench.inputs["prepare"]


def test_the_adapter_file_is_peft_s_and_names_no_path(lab: Lab, trained: Done) -> None:
    text = (lab.folder("lora/train") / "adapter" / "adapter_config.json").read_text()
    config = json.loads(text)
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 4, 8)
    assert config["target_modules"] == sorted(config["target_modules"]), "equal whichever process writes it"
    assert config["base_model_name_or_path"] is None and str(lab.bench.home) not in text


def test_a_checkpoint_is_as_large_as_planned(lab: Lab, trained: Done) -> None:
    remove(lab, "full/train")
    lab.train("full/train", "it01/select")
    for name, settings in (("lora/train", adapting(dtype="fp32")), ("full/train", full(dtype="fp32"))):
        folder = lab.folder(name)
        there = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
        assert there == pytest.approx(checkpoint_bytes(read_weights(folder / "model"), settings), rel=0.05)


def test_another_attempt_draws_the_same_adapters(lab: Lab, trained: Done) -> None:
    remove(lab, "lora/train", "full/train")
    lab.train("full/train", "it01/select")
    again = lab.train("lora/train", "it01/select", settings=adapting())
    assert again.artefact == trained.artefact, "equal to the last bit"


def test_merged_weights_score_as_the_adapters_that_peft_loads(lab: Lab, trained: Done) -> None:
    folder = lab.folder("lora/train")
    with_adapters = peft.PeftModel.from_pretrained(load_model(MODEL), str(folder / "adapter")).eval()
    merged = load_model(folder / "model")
    encoder = ExampleEncoder(MODEL, lab.bench.home, merged)
    trees = encoder.trees(grouped(sft_examples(lab.bench.selected(6, seed=1), PLAIN)), 1000)
    (batch, *_) = micro_batches(trees, 1000, torch.device("cpu"))
    with torch.inference_mode():
        ours = merged(**batch.inputs).logits
        theirs = with_adapters.base_model.model(**batch.inputs).logits
        plain = load_model(MODEL)(**batch.inputs).logits
    assert torch.allclose(ours, theirs, atol=2e-5)
    assert not torch.allclose(ours, plain, atol=1e-2)


@pytest.mark.parametrize(
    "options", [{}, {"dtype": "bf16", "lora": LORA.model_copy(update={"dropout": 0.1})}], ids=["fp32", "bf16 dropout"]
)
def test_carried_adapters_equal_an_uninterrupted_run(lab: Lab, options: dict[str, Any]) -> None:
    resumes_exactly(lab, adapting(**options))


def resumes_exactly(lab: Lab, settings: TrainRecipe) -> None:
    remove(lab, "on1/train", "on2/train", "on3/train", "other/train")
    lab.train("on1/train", "few01/select", settings=settings)
    lab.train("on2/train", "few02/select", "on1/train", settings=settings)
    resident = lab.train("on3/train", "few01/select", "on2/train", settings=settings)
    remove(lab, "on3/train")
    lab.train("other/train", "few01/select", settings=settings)
    rebuilt = lab.train("on3/train", "few01/select", "on2/train", settings=settings)
    assert rebuilt.result.losses == resident.result.losses
    assert rebuilt.artefact == resident.artefact, "equal to the last bit"
    assert rebuilt.result.global_step == 6
    state = read_state(lab.folder("on3/train"))
    assert state is not None and state.base == lab.bench.inputs["prepare"], "rounding of merged weights never adds up"


def test_a_fresh_optimizer_goes_on_with_the_adapters(lab: Lab, trained: Done) -> None:
    fresh = lab.train("fresh/train", "it02/select", "lora/train", settings=adapting(), carry=False)
    assert fresh.result.global_step == 3
    state = read_state(lab.folder("fresh/train"))
    assert state is not None and state.base == lab.bench.inputs["prepare"]


def test_adapters_of_another_shape_begin_anew_on_the_merged_weights(lab: Lab, trained: Done) -> None:
    wider = adapting(lora=LoraRecipe(rank=8))
    done = lab.train("wider/train", "it01/select", "lora/train", settings=wider, carry=False)
    assert done.result.first_loss < trained.result.first_loss
    state = read_state(lab.folder("wider/train"))
    assert state is not None and state.base == trained.artefact


def test_a_full_optimizer_cannot_go_on_as_one_of_adapters(lab: Lab) -> None:
    remove(lab, "full/train")
    lab.train("full/train", "it01/select")
    with pytest.raises(InvalidInput, match="no optimizer state for"):
        lab.train("mixed/train", "it02/select", "full/train", settings=adapting())


def test_the_prm_trains_as_adapters(lab: Lab) -> None:
    settings = adapting(epochs=8, micro_tokens=800, freeze_vision=True)
    done = lab.train("prm/train", "prm/collect", objective="prm", settings=settings)
    assert done.result.last_loss < done.result.first_loss
    before, after = weights(lab.folder("prepare")), weights(lab.folder("prm/train"))
    assert all(torch.equal(before[name], after[name]) for name in before if ".vision_model." in name)
    model = load_model(lab.folder("prm/train") / "model")
    assert label_token_ids(ExampleEncoder(MODEL, lab.bench.home, model).tokenizer)


def test_partitioned_adapters_make_the_same_updates(lab: Lab, trained: Done) -> None:
    remove(lab, "lora/train")
    partitioned = lab.train("lora/train", "it01/select", settings=adapting(zero_stage=3))
    assert partitioned.result.losses == pytest.approx(trained.result.losses, rel=1e-4)
    resumes_exactly(lab, adapting(zero_stage=3))


@SLOW
def test_two_ranks_adapt_as_one(lab: Lab, trained: Done) -> None:
    remove(lab, "lora/train")
    pair = lab.train("lora/train", "it01/select", settings=adapting(ranks=2))
    assert pair.result.losses == pytest.approx(trained.result.losses, rel=1e-4)


@pytest.mark.parametrize("make", ARCHITECTURES, ids=lambda make: make.__name__)
def test_every_architecture_takes_adapters(make: object, tmp_path: Any) -> None:
    model, prompts = make()  # type: ignore[operator]
    settings = TrainRecipe(lora=LORA, freeze_vision=True)
    freeze(model, settings)
    attach(model, settings)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained and all(".lora_" in name and "vision" not in name and "visual" not in name for name in trained)
    assert len(trained) == len(adapter_parameters(model))
    bench = Bench(tmp_path / "home")
    encoder = ExampleEncoder(MODEL, bench.home, model)
    encoder._prompts, encoder.tokenizer = prompts, prompts.processor.tokenizer
    (batch, *_) = micro_batches(
        encoder.trees(grouped(sft_examples(bench.selected(2), PLAIN)), 10_000), 10_000, torch.device("cpu")
    )
    ResponseLoss(model.train())(batch).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_targets_are_named_by_the_ends_of_their_names() -> None:
    model = load_model(MODEL)
    attach(model, TrainRecipe(lora=LoraRecipe(targets=("q_proj", "v_proj"), rank=2), freeze_vision=True))
    assert {name.split(".lora_")[0].rpartition(".")[2] for name in adapter_parameters(model)} == {"q_proj", "v_proj"}
    with pytest.raises(InvalidInput, match=r"ends in 'query'; there are .*q_proj"):
        attach(load_model(MODEL), TrainRecipe(lora=LoraRecipe(targets=("query",))))


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_four_bit_weights_train_resume_and_leave_whole_numbers(lab: Lab) -> None:
    settings = adapting(lora=LORA.model_copy(update={"quantize": True}), dtype="bf16", freeze_vision=True)
    resumes_exactly(lab, settings)
    folder = lab.folder("on1/train")
    before, after = weights(lab.folder("prepare")), weights(folder)
    assert {name: t.shape for name, t in after.items()} == {name: t.shape for name, t in before.items()}
    assert {t.dtype for t in after.values()} == {torch.bfloat16}
    assert "quantization_config" not in (folder / "model" / "config.json").read_text()
    tower = "model.vision_model.encoder.layers.0.mlp.fc1.weight"
    off = (after[tower].float() - before[tower].float()).abs().mean() / before[tower].float().abs().mean()
    # On a CPU bitsandbytes rounds twice as coarsely as on a GPU.
    assert 0 < off < 0.5, "rounded to 4 bits and back"
