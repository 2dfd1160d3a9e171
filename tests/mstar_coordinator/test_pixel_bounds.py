"""Pixel bounds of a recipe stand in the copied folder, and every processor that loads it keeps to them."""

import json
from pathlib import Path

import pytest

from family_folders import write_folder
from further_families import DRIVEN
from mstar.errors import InvalidInput, InvalidRecipe
from mstar.recipes import ModelRecipe, parse_recipe
from mstar_coordinator.pixel_bounds import require_bounds, write_bounds
from mstar_models.encoding import PromptEncoder
from mstar_models.loading import load_processor
from mstar_models.probing import picture

# transformers' own: GLM's processor.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
BOUNDED = ("qwen2_5_vl", "qwen3_vl", "glm4v", "glm46v", "paddleocr_vl", "video_llama_3", "glmga")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bounds")
    names = (*BOUNDED, "llava", "idefics3")
    return {one.name: write_folder(one, root / one.name) for one in DRIVEN if one.name in names}


def copied(source: Path, target: Path) -> Path:
    """The folder without its weights."""
    target.mkdir()
    for path in source.iterdir():
        if path.suffix != ".safetensors":
            (target / path.name).write_bytes(path.read_bytes())
    return target


def image_tokens(folder: Path, shape: str = "wide") -> int:
    """Of a picture of 160 × 64 pixels."""
    processor = load_processor(folder)
    ids = PromptEncoder(processor).encode("How many?", [picture(shape)]).input_ids
    return ids.count(processor.tokenizer.convert_tokens_to_ids(processor.image_token))


@pytest.mark.parametrize("name", BOUNDED)
def test_bounds_decide_how_many_tokens_a_picture_has(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    sizes = []
    for bounds in (
        {"min_pixels": 1, "max_pixels": 2500},
        {"min_pixels": 1, "max_pixels": 20_000},
        {"min_pixels": 30_000, "max_pixels": 90_000},
    ):
        folder = copied(folders[name], tmp_path / f"{name}-{len(sizes)}")
        model = ModelRecipe(**bounds)
        require_bounds(folder, model, "model.base")
        write_bounds(folder, model)
        sizes.append(image_tokens(folder))
    assert sizes[0] < sizes[1] < sizes[2]
    # A token is a square of four patches of 14 or 16 pixels.
    assert sizes[2] * 28 * 28 <= 90_000 * 1.5 and sizes[2] * 32 * 32 >= 30_000 * 0.7


@pytest.mark.parametrize("name", BOUNDED)
def test_settings_in_the_newer_file_are_bounded_too(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders[name], tmp_path / name)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    path = folder / "processor_config.json"
    whole = json.loads(path.read_text()) if path.exists() else {"processor_class": settings.get("processor_class")}
    (folder / "preprocessor_config.json").unlink()
    path.write_text(json.dumps({key: value for key, value in whole.items() if value} | {"image_processor": settings}))
    before = image_tokens(folder)
    write_bounds(folder, ModelRecipe(min_pixels=30_000, max_pixels=90_000))
    assert image_tokens(folder) > before


@pytest.mark.parametrize("name", ["llava", "idefics3"])
def test_a_model_without_bounds_is_refused_and_named(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not to a number of pixels") as refused:
        require_bounds(folders[name], ModelRecipe(max_pixels=1000), "model.base")
    assert refused.value.field == "model.max_pixels"
    folder = copied(folders[name], tmp_path / name)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_bounds(folder, ModelRecipe(max_pixels=1000))
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_bounds_that_leave_nothing_between_them_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["qwen2_5_vl"], tmp_path / "bounded")
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"min_pixels": 3136, "max_pixels": 100_000}))
    with pytest.raises(InvalidInput, match="leaves 3136 to 2000 pixels") as refused:
        require_bounds(folder, ModelRecipe(max_pixels=2000), "model.base")
    assert refused.value.field == "model.max_pixels"
    require_bounds(folder, ModelRecipe(min_pixels=1, max_pixels=2000), "model.base")
    with pytest.raises(InvalidRecipe, match="below min_pixels") as crossed:
        parse_recipe({"name": "x", "model": {"min_pixels": 5000, "max_pixels": 4000}})
    assert crossed.value.field == "model.max_pixels"


def test_without_bounds_nothing_is_written(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(folders["qwen2_5_vl"], tmp_path / "same")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    require_bounds(folder, ModelRecipe(), "model.base")
    write_bounds(folder, ModelRecipe())
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
