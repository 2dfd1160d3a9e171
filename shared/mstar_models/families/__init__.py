"""What a model family needs beside what transformers brings, one file each; `docs/models.md` lists the families.

Most families need no file. `FAMILIES` holds those that do; `family_of` and `family_of_processor` find them.
"""

from typing import Any

from mstar_models.families import (
    cohere_compass,
    deepseek_vl_hybrid,
    ernie4_5_vl,
    gemma3,
    gemma4,
    granite4_vision,
    minicpm_llama3_v,
    minicpmv,
    paligemma,
    phi3_vision,
)
from mstar_models.families.declaration import Family

FAMILIES: tuple[Family, ...] = (
    cohere_compass.FAMILY,
    deepseek_vl_hybrid.FAMILY,
    ernie4_5_vl.FAMILY,
    gemma3.FAMILY,
    gemma4.FAMILY,
    granite4_vision.FAMILY,
    minicpm_llama3_v.FAMILY,
    minicpmv.FAMILY,
    paligemma.FAMILY,
    phi3_vision.FAMILY,
)
PLAIN = Family(name="")
"""A family that needs nothing."""


def family_of(config: Any) -> Family:
    """The family of a model's configuration, `PLAIN` for one without a file."""
    return next((one for one in FAMILIES if config.model_type in one.model_types), PLAIN)


def tower_by_image(config: Any) -> bool:
    """Whether the vision tower's outputs have one image after another on their first axis.

    Pixtral's tower, which several families have, gives the patches of all images as one row.
    """
    vision = getattr(config, "vision_config", None)
    return family_of(config).tower_by_image and getattr(vision, "model_type", None) != "pixtral"


def family_of_processor(processor: Any) -> Family:
    """The family that a processor belongs to, `PLAIN` for one without a file."""
    name = type(processor).__name__
    return getattr(processor, "family", None) or next((one for one in FAMILIES if name in one.processors), PLAIN)


def remote_family(model_type: Any) -> Family | None:
    """The family of a `model_type` whose code lies in its folder; None: transformers has the code, or nobody."""
    return next((one for one in FAMILIES if one.remote is not None and model_type in one.model_types), None)
