"""A model folder is loaded and run once: what is wrong is one sentence that names file or tensor, and the fix."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file

import minivista
from mstar.errors import InvalidInput
from mstar_models.forward_check import FORWARD, SHAPES, check_model

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
