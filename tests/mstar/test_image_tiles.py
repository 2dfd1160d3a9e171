"""Image tokens that a plan reckons with, against those that each family's own processor makes of the same picture."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from family_folders import write_folder
from further_families import DRIVEN
from mstar.image_scaling import PlannedImage
from mstar.image_tiles import tiles
from mstar.known_shapes import known_shape
from mstar.model_folder import read_shape
from mstar_models.loading import load_processor

# transformers' own: GLM's processor.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
PICTURES = ((1024, 768), (300, 240), (1600, 500), (500, 1600))
TILED: dict[str, dict[str, Any]] = {
    "smolvlm": {"size": {"longest_edge": 128}, "max_image_size": {"longest_edge": 32}},
    "idefics3": {"size": {"longest_edge": 96}, "max_image_size": {"longest_edge": 32}},
    "idefics2": {"do_image_splitting": True},
    "internvl": {"max_patches": 12},
    "ovis2": {"max_patches": 6},
    "llava_next": {"image_grid_pinpoints": [[32, 64], [64, 32], [64, 64]]},
    "llava_next_video": {"image_grid_pinpoints": [[32, 64], [64, 32], [64, 64]]},
    "pixtral": {"size": {"longest_edge": 64}},
    "mistral3": {"size": {"longest_edge": 64}},
    "llava_onevision": {"image_grid_pinpoints": [[32, 64], [64, 32], [64, 64]]},
}
WHOLE = ("llava", "paligemma", "gemma3", "aya_vision", "vipllava", "deepseek_vl", "deepseek_vl_hybrid", "janus", "aria")
PUBLISHED = {"min_pixels": 56 * 56, "max_pixels": 1280 * 28 * 28}
# Each kind once: Qwen2-VL, Qwen3.5 and EXAONE 4.5 have the processor of Qwen2.5-VL, MiniCPM-V 4.7 that of 4.6.
SCALED: dict[str, dict[str, Any]] = {
    "qwen2_5_vl": PUBLISHED,
    "qwen3_vl": {"size": {"shortest_edge": 65_536, "longest_edge": 16_777_216}},
    "glm4v": {"size": {"shortest_edge": 12_544, "longest_edge": 9_633_792}},
    "glm46v": {"size": {"shortest_edge": 12_544, "longest_edge": 1_000_000}},
    "paddleocr_vl": {},
    "video_llama_3": {"max_pixels": 500_000},
    "ernie4_5_vl_moe": {"size": {"shortest_edge": 3136, "longest_edge": 4_842_768}},
    "glmga": {"size": {"shortest_edge": 12_544, "longest_edge": 1_000_000}},
    "cohere_compass": PUBLISHED,
    "minicpmv4_6": {"max_slice_nums": 9, "scale_resolution": 448, "patch_size": 14},
}


def folder_of(name: str, root: Path, more: dict[str, Any]) -> Path:
    """Of a family, with other settings of its image processor."""
    (family,) = (one for one in DRIVEN if one.name == name)
    folder = write_folder(family, root / name)
    settings = folder / "preprocessor_config.json"
    there = json.loads(settings.read_text())
    # Folders have one of the two: the older bounds would count before `size`.
    older = ("min_pixels", "max_pixels") if "size" in more else ()
    settings.write_text(json.dumps({key: there[key] for key in there if key not in older} | more))
    return folder


def tokens_of(folder: Path, processor: Any, view: PlannedImage) -> int:
    """Image tokens in the prompt of one picture, by the processor itself."""
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How many?"}]}
    text = processor.apply_chat_template([turn], add_generation_prompt=True)
    # Ovis2's takes no lists, and others warn of tensors.
    more = {"return_tensors": "pt"} if folder.name == "ovis2" else {}
    ids = processor(text=[text], images=[[Image.new("RGB", view[:2], "red")]], **more)["input_ids"][0]
    config = json.loads((folder / "config.json").read_text())
    image = config.get("image_token_id", config.get("image_token_index"))
    return [int(one) for one in ids].count(image)


@pytest.mark.parametrize("name", [*TILED, *WHOLE])
def test_a_plan_reckons_with_the_image_tokens_of_the_processor(name: str, tmp_path: Path) -> None:
    folder = folder_of(name, tmp_path, TILED.get(name, {}))
    processor = load_processor(folder)
    # A plan is made for the first of them, and Ovis2 takes other grids for narrow pictures than InternVL.
    views = [PlannedImage(*size) for size in PICTURES[: 2 if name == "ovis2" else None]]
    # LLaVA's families put a token at the end of each row of tiles, which is within a tenth.
    counted = [tokens_of(folder, processor, view) for view in views]
    assert [read_shape(folder, view).image_tokens for view in views] == pytest.approx(counted, rel=0.15)


@pytest.mark.parametrize("name", SCALED)
def test_a_picture_that_is_scaled_by_pixels_or_sliced_has_exactly_the_tokens_of_the_processor(
    name: str, tmp_path: Path
) -> None:
    folder = folder_of(name, tmp_path, SCALED[name])
    processor = load_processor(folder)
    views = [PlannedImage(*size) for size in PICTURES]
    counted = [tokens_of(folder, processor, view) for view in views]
    assert [read_shape(folder, view).image_tokens for view in views] == counted


def test_the_recipes_bounds_change_the_tokens_of_a_plan(tmp_path: Path) -> None:
    folder = folder_of("qwen2_5_vl", tmp_path, PUBLISHED)
    bounded = PlannedImage(max_pixels=200_000)
    settings = folder / "preprocessor_config.json"
    shape = read_shape(folder, bounded)
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"max_pixels": 200_000}))
    assert shape.image_tokens == tokens_of(folder, load_processor(folder), bounded) < 256
    assert shape.patches == 4 * shape.image_tokens
    known = known_shape("Qwen2.5-VL-7B-Instruct", bounded)
    assert (known.image_tokens, known.patches) == (shape.image_tokens, shape.patches)
    assert (
        read_shape(folder, PlannedImage(min_pixels=1_500_000, max_pixels=2_000_000)).image_tokens * 28**2 >= 1_500_000
    )


def test_patches_are_those_of_all_tiles_before_they_are_merged(tmp_path: Path) -> None:
    shape = read_shape(folder_of("internvl", tmp_path, {}))
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
