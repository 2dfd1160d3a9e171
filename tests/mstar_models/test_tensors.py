"""Which tensors of two folders are compared, and what counts as equal."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mstar_models.tensors import same_tensors, sees


def folder(path: Path, **parts: dict[str, torch.Tensor]) -> Path:
    path.mkdir()
    for name, tensors in parts.items():
        save_file(tensors, path / f"{name}.safetensors")
    return path


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    names = ("model.vision_model.patch.weight", "model.connector.weight", "model.text_model.layers.0.weight", "lm_head")
    return {name: torch.arange(4.0) + place for place, name in enumerate(names)}


def test_files_do_not_matter_but_every_tensor_does(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    one = folder(tmp_path / "one", a=tensors)
    names = list(tensors)
    split = folder(
        tmp_path / "two", a={name: tensors[name] for name in names[:2]}, b={n: tensors[n] for n in names[2:]}
    )
    assert same_tensors(one, split)
    assert not same_tensors(one, folder(tmp_path / "less", a={name: tensors[name] for name in names[1:]}))
    assert not same_tensors(one, folder(tmp_path / "half", a={name: tensors[name].half() for name in names}))


@pytest.mark.parametrize(("name", "seen"), [("model.connector.weight", True), ("lm_head", False)])
def test_only_what_makes_image_features_is_looked_at(
    tmp_path: Path, tensors: dict[str, torch.Tensor], name: str, seen: bool
) -> None:
    one = folder(tmp_path / "one", a=tensors)
    other = folder(tmp_path / "other", a=tensors | {name: tensors[name] + 1})
    assert sees(name) is seen
    assert same_tensors(one, other, sees) is not seen
    assert not same_tensors(one, other)


def test_a_tensor_of_an_unknown_kind_may_well_see() -> None:
    assert sees("model.layers.0.mlp.weight")
    assert sees("visual.blocks.0.attn.weight")
    assert not sees("model.language_model.layers.0.mlp.weight")


def test_a_folder_that_is_gone_or_broken_is_not_the_same(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    one = folder(tmp_path / "one", a=tensors)
    broken = folder(tmp_path / "broken", a=tensors)
    (broken / "a.safetensors").write_bytes(b"no tensors")
    assert not same_tensors(tmp_path / "gone", one)
    assert not same_tensors(one, tmp_path / "gone")
    assert not same_tensors(one, broken)
    assert not same_tensors(tmp_path / "gone", tmp_path / "gone")
