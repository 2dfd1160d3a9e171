"""The three parts of a vision-language model that a recipe can freeze: vision tower, projector, language model.

What transformers calls the image encoder is the tower, and what it calls the decoder, with the output head, is the
language model; everything else is the projector. Families whose projector lies inside the tower, such as Qwen2-VL, have
none of their own: it is frozen and trained with the tower.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from mstar.errors import InvalidInput
from mstar.train_recipe import TrainRecipe
from mstar_models.families import family_of

VISION, PROJECTOR, LANGUAGE = "vision", "projector", "language"


def vision_tower(model: Any) -> nn.Module:
    """The module that encodes images. Raises InvalidInput for a model without one that transformers knows by name."""
    tower: nn.Module = model.get_encoder(modality="image")
    if tower is model or tower is getattr(model, "base_model", None):
        raise InvalidInput(
            "train.freeze_vision: no vision tower was found in this model; set it to false", field="train.freeze_vision"
        )
    return tower


def parameters_by_part(model: Any, parts: frozenset[str]) -> Mapping[str, list[nn.Parameter]]:
    """Parameters of the wanted parts, each of which may be empty. Raises InvalidInput like `vision_tower`."""
    # By identity, since a tied weight has two names.
    tower = {id(p) for module in _towers(model) for p in module.parameters()}
    language = {id(p) for module in _language(model) for p in module.parameters()}
    found: dict[str, list[nn.Parameter]] = {part: [] for part in parts}
    for parameter in model.parameters():
        part = VISION if id(parameter) in tower else LANGUAGE if id(parameter) in language else PROJECTOR
        if part in found:
            found[part].append(parameter)
    return found


def freeze(model: Any, settings: TrainRecipe) -> None:
    """Exclude the parts that `settings` freezes from training.

    Raises InvalidInput, which names the field, for a part that the model does not have.
    """
    parts = frozenset(part for part in (VISION, PROJECTOR, LANGUAGE) if getattr(settings, f"freeze_{part}"))
    if not parts:
        return
    for part, parameters in parameters_by_part(model, parts).items():
        if not parameters:
            raise InvalidInput(
                f"train.freeze_{part}: this model has no {part} of its own; set it to false, and freeze_vision to true "
                "where the tower holds it",
                field=f"train.freeze_{part}",
            )
        for parameter in parameters:
            parameter.requires_grad_(False)


def _towers(model: Any) -> Iterator[nn.Module]:
    yield vision_tower(model)
    yield from (getattr(model.base_model, name) for name in family_of(model.config).more_towers)


def _language(model: Any) -> Iterator[nn.Module]:
    yield model.get_decoder()
    yield model.get_output_embeddings()
