"""Folders of models that are damaged on purpose: each is refused in a sentence, whatever its numbers are."""

import json
from pathlib import Path

import pytest

from mstar.errors import InvalidInput
from mstar.model_folder import check_weights, read_shape

SIZES = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2}


def folder(at: Path, header: bytes, tensors: int = 4, **config: object) -> Path:
    """A model of one file with this header."""
    (at / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(tensors))
    (at / "config.json").write_text(json.dumps(config))
    return at


def described(*names: str) -> bytes:
    """A header with float tensors of one number, one after the other."""
    tensor = {name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * n, 4 * n + 4]} for n, name in enumerate(names)}
    return json.dumps(tensor).encode()


@pytest.mark.parametrize(
    "header",
    [b"[" * 100_000, b'{"a": ' * 50_000, b'{"a": 1, "a": 2}', b"\xff\xfe", b"{}", b'{"a": NaN}'],
    ids=["nested lists", "nested objects", "a name twice", "no Unicode", "no tensor", "NaN"],
)
def test_a_header_that_is_none_is_damage_and_not_a_crash(header: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"damaged model\.safetensors"):
        check_weights(folder(tmp_path, header))


@pytest.mark.parametrize(
    "odd",
    [
        {"num_attention_heads": 0},
        {"hidden_size": 1e999},
        {"num_hidden_layers": "two"},
        {"vision_config": {"image_size": 224, "patch_size": 0}},
    ],
    ids=["no heads", "infinite", "words", "no patch"],
)
def test_sizes_that_no_model_has_are_refused(odd: dict[str, object], tmp_path: Path) -> None:
    made = folder(tmp_path, described("model.layers.0.weight"), **(SIZES | odd))
    with pytest.raises(InvalidInput, match=r"config\.json"):
        read_shape(made)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_links_in_a_circle_are_named(name: str, tmp_path: Path) -> None:
    made = folder(tmp_path, described("model.layers.0.weight"), **SIZES)
    (made / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model.safetensors"}}')
    (made / name).unlink()
    (made / name).symlink_to(made / name)
    with pytest.raises(InvalidInput, match=f"has a link {name} that leads to no file"):
        read_shape(made)


def test_a_whole_folder_is_read(tmp_path: Path) -> None:
    made = folder(tmp_path, described("model.layers.0.weight"), **SIZES)
    assert check_weights(made) == (made / "model.safetensors").stat().st_size
    assert read_shape(made).hidden == 64


def test_an_index_beside_a_whole_model_is_told_what_to_do_with(tmp_path: Path) -> None:
    whole = folder(tmp_path, described("a"))
    (whole / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
    with pytest.raises(InvalidInput, match=r"if model\.safetensors is the whole model, remove that index"):
        check_weights(whole)


def test_a_snapshot_of_the_hub_goes_by_the_name_of_its_model(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--acme--Seer" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    with pytest.raises(InvalidInput, match=r"model\.base 'acme/Seer' holds no safetensors"):
        check_weights(snapshot)
