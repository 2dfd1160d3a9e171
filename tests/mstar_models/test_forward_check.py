"""A model folder is loaded and run once: what is wrong is one sentence that names file or tensor, and the fix."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Idefics3ForConditionalGeneration

import minivista
from mstar.errors import InvalidInput
from mstar_models.checkpoint import check_finite
from mstar_models.forward_check import FORWARD, SHAPES, check_model, require_sight
from mstar_models.loading import load_model, load_processor

WEIGHTS = "model.safetensors"
NOT_FINITE = r"weight \S+norm.weight in model.safetensors of model folder model is not finite: take an earlier"
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(copytree(minivista.MODEL_FOLDER, tmp_path / "model"))


def changed(folder: Path, change: Callable[[Tensors], object]) -> Path:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
    change(tensors)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    return folder


def last(tensors: Tensors) -> str:
    return max(name for name in tensors if name.endswith("norm.weight"))


def poisoned(value: float) -> Callable[[Tensors], object]:
    return lambda tensors: tensors[last(tensors)].view(-1)[1:2].fill_(value)


def grown(tensors: Tensors) -> None:
    tensors[last(tensors)] = torch.zeros(1000)


def emptied(tensors: Tensors) -> None:
    for tensor in tensors.values():
        tensor.zero_()


def test_settings_of_pictures_that_are_wrong_are_told_with_their_file(folder: Path) -> None:
    path = folder / "processor_config.json"
    settings = json.loads(path.read_text())
    settings["image_processor"]["image_mean"] = [0.5]
    path.write_text(json.dumps(settings))
    said = r"model folder model: the model's processor does not take 1 image in .*; correct preprocessor_config\.json"
    with pytest.raises(InvalidInput, match=said):
        check_model(folder, SHAPES)


class Scaled(Idefics3ForConditionalGeneration):  # type: ignore[misc]
    """A model that PRM and trainer would take for another: they compute logits from trunk and output head."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = super().forward(*args, **kwargs)
        output.logits = output.logits / 2
        return output


class LookingAhead(Idefics3ForConditionalGeneration):  # type: ignore[misc]
    """A model in which every token sees all others."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        width = kwargs["input_ids"].shape[1]
        return super().forward(*args, **kwargs | {"attention_mask": torch.zeros(1, 1, width, width)})


def test_a_model_whose_tokens_see_later_ones_is_refused(folder: Path) -> None:
    with pytest.raises(
        InvalidInput, match="in models of type idefics3 the words after a token change what comes at it"
    ):
        require_sight(folder, LookingAhead.from_pretrained(folder), load_processor(folder))


def test_a_model_whose_logits_are_not_its_output_heads_is_refused(folder: Path) -> None:
    processor = load_processor(folder)
    require_sight(folder, load_model(folder), processor)
    with pytest.raises(InvalidInput, match="of type idefics3 change what their output head gives, and PRM and"):
        require_sight(folder, Scaled.from_pretrained(folder), processor)


@pytest.mark.parametrize("how", [FORWARD, SHAPES])
def test_the_base_that_ships_passes(folder: Path, how: str) -> None:
    check_model(folder, how)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            poisoned(float("nan")),
            NOT_FINITE,
        ),
        (
            poisoned(float("-inf")),
            NOT_FINITE,
        ),
        (emptied, r"says the same whatever the picture shows: its weights are empty"),
    ],
)
def test_weights_that_compute_nothing_are_found_by_running_them(
    folder: Path, change: Callable[[Tensors], object], said: str
) -> None:
    changed(folder, change)
    check_model(folder, SHAPES)
    with pytest.raises(InvalidInput, match=said):
        check_model(folder, FORWARD)


@pytest.mark.parametrize("how", [FORWARD, SHAPES])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (grown, r"has weight \S+norm.weight of shape \[1000\], where config.json asks for \[\d+\]: take config.json"),
        (lambda tensors: tensors.pop(last(tensors)), r"lacks weight \S+norm.weight, which config.json asks for"),
    ],
)
def test_tensors_of_another_model_are_found_without_reading_them(
    folder: Path, how: str, change: Callable[[Tensors], object], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        check_model(changed(folder, change), how)


def test_an_absurd_size_allocates_nothing(folder: Path) -> None:
    path = folder / "config.json"
    text = re.sub(r'"intermediate_size": \d+', '"intermediate_size": 1000000000', path.read_text())
    path.write_text(text)
    with pytest.raises(InvalidInput, match=r"config\.json asks for"):
        check_model(folder, FORWARD)


@pytest.mark.parametrize(
    ("file", "said"), [("tokenizer.json", "tokenizer"), ("processor_config.json", "preprocessor_config")]
)
def test_a_part_that_is_missing_is_one_sentence(folder: Path, file: str, said: str) -> None:
    (folder / file).unlink()
    with pytest.raises(InvalidInput) as refused:
        check_model(folder, FORWARD)
    assert said in refused.value.detail and "\n" not in refused.value.detail


def test_numbers_of_a_processor_that_do_not_fit_are_one_sentence(folder: Path) -> None:
    path = folder / "processor_config.json"
    found = json.loads(path.read_text())
    found["image_processor"] |= {"image_mean": [0.5], "image_std": [0.5]}
    path.write_text(json.dumps(found))
    with pytest.raises(InvalidInput) as refused:
        check_model(folder, FORWARD)
    assert "\n" not in refused.value.detail


def edited(folder: Path, file: str, change: Callable[[dict[str, Any]], object]) -> None:
    found = json.loads((folder / file).read_text())
    change(found)
    (folder / file).write_text(json.dumps(found))


def short(config: dict[str, Any]) -> None:
    config["text_config"]["max_position_embeddings"] = 8


def grown_vocabulary(tokenizer: dict[str, Any]) -> None:
    tokenizer["model"]["vocab"]["zq"] = 600


def added_token(tokenizer: dict[str, Any]) -> None:
    """As tools for training add them, without rows for them."""
    more = {"id": 474, "content": "<think>", "special": False}
    tokenizer["added_tokens"].append(tokenizer["added_tokens"][-1] | more)


def moved_end(tokenizer: dict[str, Any]) -> None:
    (end,) = (one for one in tokenizer["added_tokens"] if one["content"] == "<end_of_utterance>")
    end["id"] = tokenizer["model"]["vocab"]["<end_of_utterance>"] = 474


def fewer_layers(part: str) -> Callable[[dict[str, Any]], object]:
    return lambda config: config[part].update(num_hidden_layers=config[part]["num_hidden_layers"] - 1)


@pytest.mark.parametrize("how", [FORWARD, SHAPES])
@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (
            "config.json",
            short,
            r"context of 8 tokens \(max_position_embeddings in config\.json\), and a short question",
        ),
        (
            "config.json",
            fewer_layers("text_config"),
            r"has weight \S+layers\.3\.\S+ of a layer that config\.json does not",
        ),
        ("config.json", fewer_layers("vision_config"), r"has weight \S+layers\.2\.\S+ of a layer that config\.json"),
        ("processor_config.json", lambda said: said.update(image_seq_len=8), r"image_seq_len is 8, and .* give 16"),
        ("processor_config.json", lambda said: said.update(image_seq_len=32), r"image_seq_len is 32, and .* give 16"),
        (
            "processor_config.json",
            lambda said: said["image_processor"].update(max_image_size={"longest_edge": 32}),
            r"max_image_size of the image processor is 32, and image_size of vision_config in config\.json give 64",
        ),
        ("tokenizer.json", grown_vocabulary, r"has token 'zq' with id 600, and the model has rows for 474 tokens"),
        ("tokenizer.json", added_token, r"has token '<think>' with id 474, and the model has rows for 474 tokens"),
        ("tokenizer.json", moved_end, r"has token '<end_of_utterance>' with id 474, and the model has rows for 474"),
        (
            "generation_config.json",
            lambda said: said.update(eos_token_id=474),
            r"eos_token_id 474 in generation_config",
        ),
        ("generation_config.json", lambda said: said.update(eos_token_id=-3), r"is -3: give the id of a token"),
        ("generation_config.json", lambda said: said.update(eos_token_id="two"), r"is two: give the id of a token"),
        ("generation_config.json", lambda said: said.update(eos_token_id=[2, None]), r"is \[2, None\]: give the id"),
    ],
)
def test_files_that_do_not_fit_together_are_named(
    folder: Path, how: str, file: str, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    edited(folder, file, change)
    with pytest.raises(InvalidInput, match=said):
        check_model(folder, how)


@pytest.mark.parametrize("file", ["config.json", "generation_config.json", "tokenizer.json", "processor_config.json"])
@pytest.mark.parametrize(
    ("written", "said"),
    [(b"{", "is not valid JSON"), (b"[1]", "is not a JSON object"), ("{}".encode("utf-16"), "it is not UTF-8")],
)
def test_a_file_of_json_that_is_none_is_named(folder: Path, file: str, written: bytes, said: str) -> None:
    (folder / file).write_bytes(written)
    with pytest.raises(InvalidInput, match=rf"model folder model has a {file} that .*{said}|{said}") as refused:
        check_model(folder, SHAPES)
    assert file in refused.value.detail and str(folder) not in refused.value.detail


def test_a_processor_whose_settings_are_of_the_wrong_type_is_one_sentence(folder: Path) -> None:
    edited(folder, "processor_config.json", lambda said: said["image_processor"].update(size={"longest_edge": "x"}))
    with pytest.raises(InvalidInput, match="the model's processor does not take 1 image in this prompt: unsupported"):
        check_model(folder, SHAPES)


def test_no_path_of_the_server_is_told(folder: Path) -> None:
    edited(folder, "config.json", lambda said: said.pop("model_type"))
    with pytest.raises(InvalidInput, match="Unrecognized model in model") as refused:
        check_model(folder, SHAPES)
    assert str(folder) not in refused.value.detail


def test_a_name_that_no_table_knows_is_told_with_its_setting(folder: Path) -> None:
    edited(folder, "config.json", lambda config: config["text_config"].update(hidden_act="nope"))
    with pytest.raises(InvalidInput, match=r"hidden_act in config\.json is 'nope', which transformers does not know"):
        check_model(folder, SHAPES)


def test_the_base_of_an_adapter_is_not_loaded_instead(folder: Path, tmp_path: Path) -> None:
    other = copytree(folder, tmp_path / "other")
    adapter = {"peft_type": "LORA", "base_model_name_or_path": str(other), "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    with pytest.raises(InvalidInput, match=r"holds an adapter_config\.json beside the model: merge"):
        check_model(folder, SHAPES)


def test_weights_of_eight_bits_are_looked_at(folder: Path) -> None:
    tensors = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in load_file(folder / WEIGHTS).items()}
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    check_finite(folder, "model")
    tensors[last(tensors)].view(-1)[0] = float("nan")
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    with pytest.raises(InvalidInput, match="is not finite"):
        check_finite(folder, "model")


def test_what_only_bears_the_name_of_weights_is_refused(folder: Path) -> None:
    (folder / "more.safetensors").symlink_to(folder / "more.safetensors")
    with pytest.raises(InvalidInput, match=r"more\.safetensors of model is not a safetensors file"):
        check_finite(folder, "model")
