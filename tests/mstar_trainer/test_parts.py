"""What a recipe freezes is exactly the part that it names."""

from pathlib import Path

import pytest

from architectures import ARCHITECTURES
from family_folders import write_folder
from further_families import DRIVEN
from mstar.errors import InvalidInput
from mstar.train_recipe import TrainRecipe
from mstar_models.loading import load_model
from mstar_trainer.parts import freeze
from trainer_bench import MODEL

PARTS = {"vision": ".vision_model.", "projector": ".connector.", "language": ".text_model."}


@pytest.mark.parametrize("part", sorted(PARTS))
def test_a_part_is_frozen_and_the_others_are_not(part: str) -> None:
    model = load_model(MODEL)
    freeze(model, TrainRecipe.model_validate({f"freeze_{part}": True}))
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if PARTS[part] in name}


@pytest.mark.parametrize("make", ARCHITECTURES, ids=lambda make: make.__name__)
def test_vision_and_language_are_found_in_every_architecture(make: object) -> None:
    model, _ = make()  # type: ignore[operator]
    freeze(model, TrainRecipe(freeze_vision=True, freeze_language=True))
    left = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("projector" in name or "connector" in name or "merger" in name for name in left), left


def test_a_model_with_two_towers_freezes_both(tmp_path: Path) -> None:
    (family,) = (one for one in DRIVEN if one.name == "deepseek_vl_hybrid")
    model = load_model(write_folder(family, tmp_path / "model"))
    freeze(model, TrainRecipe(freeze_vision=True))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert not any("vision_model" in name for name in trained)


def test_a_family_without_a_projector_of_its_own_says_what_to_freeze_instead() -> None:
    from architectures import qwen2_vl

    model, _ = qwen2_vl()
    with pytest.raises(InvalidInput, match=r"freeze_projector: this model has no projector of its own.*freeze_vision"):
        freeze(model, TrainRecipe(freeze_projector=True))
