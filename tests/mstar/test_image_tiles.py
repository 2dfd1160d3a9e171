"""Image tokens that a plan reckons with, against those that each family's own processor makes of the same picture."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from family_folders import write_folder
from model_families import FAMILIES
from mstar.image_tiles import PIXELS, tiles
from mstar.model_folder import read_shape
from mstar_models.loading import load_processor

TILED = {
    "smolvlm": {"size": {"longest_edge": 128}, "max_image_size": {"longest_edge": 32}},
    "idefics3": {"size": {"longest_edge": 96}, "max_image_size": {"longest_edge": 32}},
    "idefics2": {"do_image_splitting": True},
    "internvl": {"max_patches": 12},
    "ovis2": {"max_patches": 6},
    "llava_next": {"image_grid_pinpoints": [[32, 64], [64, 32], [64, 64]]},
    "pixtral": {"size": {"longest_edge": 64}},
    "mistral3": {"size": {"longest_edge": 64}},
    "llava_onevision": {"image_grid_pinpoints": [[32, 64], [64, 32], [64, 64]]},
}
WHOLE = ("llava", "paligemma", "gemma3", "aya_vision", "glm4v")


def tokens_of(folder: Path) -> int:
    """Image tokens in the prompt of one picture, by the processor itself."""
    processor = load_processor(folder)
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How many?"}]}
    text = processor.apply_chat_template([turn], add_generation_prompt=True)
    # Ovis2's takes no lists, and others warn of tensors.
    more = {"return_tensors": "pt"} if folder.name == "ovis2" else {}
    ids = processor(text=[text], images=[[Image.new("RGB", PIXELS, "red")]], **more)["input_ids"][0]
    config = json.loads((folder / "config.json").read_text())
    image = config.get("image_token_id", config.get("image_token_index"))
    return [int(one) for one in ids].count(image)


@pytest.mark.parametrize("name", [*TILED, *WHOLE])
def test_a_plan_reckons_with_the_image_tokens_of_the_processor(name: str, tmp_path: Path) -> None:
    (family,) = (one for one in FAMILIES if one.name == name)
    folder = write_folder(family, tmp_path / name)
    settings = folder / "preprocessor_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | TILED.get(name, {})))
    # LLaVA's families put a token at the end of each row of tiles, which is within a tenth.
    assert read_shape(folder).image_tokens == pytest.approx(tokens_of(folder), rel=0.15)


def test_patches_are_those_of_all_tiles_before_they_are_merged(tmp_path: Path) -> None:
    (family,) = (one for one in FAMILIES if one.name == "internvl")
    shape = read_shape(write_folder(family, tmp_path / "internvl"))
    # Two tiles at most, and the whole picture for one that is cut: 4 x 4 patches in a tile, 4 of which are a token.
    assert (shape.image_tokens, shape.patches) in ((4, 16), (12, 48))


@pytest.mark.parametrize(
    ("processor", "many"),
    [
        ({}, 1),
        ({"do_image_splitting": False, "max_image_size": {"longest_edge": 512}, "size": {"longest_edge": 2048}}, 1),
        ({"do_image_splitting": True, "max_image_size": {"longest_edge": 512}, "size": {"longest_edge": 2048}}, 13),
        ({"crop_to_patches": True, "max_patches": 4}, 5),
        ({"crop_to_patches": True, "max_patches": 4, "size": {"height": 1000}}, 1),
        ({"crop_to_patches": True, "max_patches": "many"}, 13),
        ({"image_grid_pinpoints": ["no", [1], [10**9, 10**9]]}, 1),
        ({"max_image_size": {"longest_edge": -1}, "size": "large"}, 5),
    ],
)
def test_settings_are_read_as_they_are(processor: dict[str, Any], many: float) -> None:
    assert tiles("", {}, processor) == many
