"""What a plan must know about a model: the number of weights of its parts, and the sizes that determine activations.

Read from the configuration and the shapes of the weights, as a folder has them. What this leaves out: reading files
(`mstar.model_folder`), and what follows from the numbers (`memory_plan`).
"""

import re
from collections.abc import Iterable, Mapping
from math import ceil, prod
from types import MappingProxyType
from typing import Any

from pydantic import Field

from mstar.image_scaling import MIDDLING, ImageSize, PlannedImage, seen
from mstar.image_tiles import tiles
from mstar.types import Frozen

Tensors = Iterable[tuple[str, tuple[int, ...]]]
"""Names and shapes of weights."""

_VISION = re.compile(r"(^|\.)(vision\w*|visual|vpm|img_processor|image_encoder)(\.|$)")
_PROJECTOR = re.compile(
    r"(^|\.)(\w*projector\w*|connector|merger|resampler|mlp1|img_projection\w*|vision_embed_tokens|multi_modal\w*)(\.|$)"
)
_MERGES = ("scale_factor", "downsample_factor", "spatial_merge_size")
"""How many patches a side become one token, where the whole configuration and not the tower's says it."""
TOKENS = 1024
"""Tokens of a picture where nothing says how many."""
_EMBEDDING = re.compile(r"(^|\.)(embed_tokens|lm_head|wte|tok_embeddings|output)\.weight$")


class ModelPart(Frozen):
    """One part of a model."""

    parameters: int = Field(ge=0)
    """All of its weights."""
    linear: int = Field(ge=0)
    """Sum of inputs and outputs of its linear layers: an adapter of rank r adds r times as many weights."""
    matrices: int = Field(default=0, ge=0)
    """Weights of its linear layers, which 4-bit quantization shrinks."""


class WeightCounts(Frozen):
    """How many weights a vision-language model has, part by part."""

    vision: ModelPart
    projector: ModelPart
    language: ModelPart
    """Layers and norms of the language model, without `embedding`."""
    embedding: int = Field(ge=0)
    """Weights of the token embeddings, and of the output head where it is not tied to them."""
    stored: int = Field(ge=0)
    """Bytes of the files that hold them."""

    @property
    def parameters(self) -> int:
        """All weights."""
        return self.vision.parameters + self.projector.parameters + self.language.parameters + self.embedding


class ModelShape(Frozen):
    """A vision-language model by numbers."""

    name: str
    weights: WeightCounts
    hidden: int = Field(ge=1)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    intermediate: int = Field(ge=1)
    vocabulary: int = Field(ge=1)
    vision_hidden: int = Field(ge=1)
    vision_layers: int = Field(ge=0)
    vision_intermediate: int = Field(ge=1)
    image_tokens: int = Field(default=1024, ge=1)
    """Tokens of an image in the prompt; but for a few models known by name, of one of 1,024 x 768 pixels."""
    patches: int = Field(default=4096, ge=1)
    """Patches of an image that the vision tower computes, on average; an assumption of the plan."""


def shape_of(
    name: str,
    config: Mapping[str, Any],
    weights: WeightCounts,
    processor: Mapping[str, Any] = MappingProxyType({}),
    view: PlannedImage = MIDDLING,
) -> ModelShape:
    """The shape of a model from its config.json. What only the vision tower has is guessed where it is missing.

    `processor`: the settings of its image processor, which say how it scales pictures or cuts them into tiles. Raises
    KeyError for a configuration without the sizes of a language model.
    """
    # Families differ: Qwen2-VL has these sizes at the top, InternVL calls the section llm_config.
    text = _section(config, "text_config", "llm_config") or config
    vision = _section(config, "vision_config") or {}
    hidden, heads = int(text["hidden_size"]), int(text["num_attention_heads"])
    vision_hidden = int(_first(vision, ("embed_dim", "hidden_size", "width"), hidden))
    picture = seen(processor, view) or _by_tower(config, vision, processor, view)
    return ModelShape(
        name=name,
        weights=weights,
        hidden=hidden,
        layers=int(text["num_hidden_layers"]),
        heads=heads,
        kv_heads=int(text.get("num_key_value_heads") or heads),
        head_dim=int(text.get("head_dim") or hidden // heads),
        intermediate=int(text.get("intermediate_size") or 4 * hidden),
        vocabulary=int(text.get("vocab_size") or config.get("vocab_size") or 32_000),
        vision_hidden=vision_hidden,
        vision_layers=int(_first(vision, ("num_hidden_layers", "depth"), 1)),
        vision_intermediate=int(_first(vision, ("intermediate_size",), 4 * vision_hidden)),
        image_tokens=picture.tokens,
        patches=picture.patches,
    )


def _by_tower(
    config: Mapping[str, Any], vision: Mapping[str, Any], processor: Mapping[str, Any], view: PlannedImage
) -> ImageSize:
    """Of a picture, or of all its tiles, whose size is the tower's."""
    merge = _merge(config, vision)
    places = _places(vision, merge, view)
    # The configuration's own number is last, since folders of LLaVA's families keep a number that nothing reads.
    tile = _fixed_tokens(config) or places or _first(config, ("image_seq_length",), TOKENS)
    many = tiles(str(config.get("model_type")), config, processor, view)
    # Patches that a resampler makes fewer tokens of are computed all the same.
    return ImageSize(round(tile * many), round((places or tile) * merge**2 * many))


def count_weights(tensors: Tensors, stored: int) -> WeightCounts:
    """Weights of each part, by the names that families give them."""
    parts = {part: [0, 0, 0] for part in ("vision", "projector", "language")}
    embedding = 0
    for name, shape in tensors:
        if _EMBEDDING.search(name) and not _VISION.search(name):
            embedding += prod(shape)
            continue
        # The projector first, since its tensors often lie below the tower: `visual.merger`, `vision_model.connector`.
        counts = parts["projector" if _PROJECTOR.search(name) else "vision" if _VISION.search(name) else "language"]
        counts[0] += prod(shape)
        # Position embeddings are two-dimensional too, and are not linear layers.
        if len(shape) == 2 and name.endswith(".weight") and "embed" not in name.rsplit(".", 2)[-2]:
            counts[1] += sum(shape)
            counts[2] += prod(shape)
    found = {part: ModelPart(parameters=n, linear=linear, matrices=m) for part, (n, linear, m) in parts.items()}
    return WeightCounts(**found, embedding=embedding, stored=stored)


def _section(config: Mapping[str, Any], *names: str) -> Mapping[str, Any] | None:
    return next((part for name in names if isinstance(part := config.get(name), Mapping)), None)


def _first(config: Mapping[str, Any], names: Iterable[str], otherwise: Any) -> Any:
    return next((config[name] for name in names if isinstance(config.get(name), int)), otherwise)


def _merge(config: Mapping[str, Any], vision: Mapping[str, Any]) -> int:
    """How many patches a side become one token."""
    ratio = config.get("downsample_ratio")
    # InternVL says it the other way round: 0.5.
    shuffled = round(1 / ratio) if isinstance(ratio, float) and 0 < ratio < 1 else 1
    return max(1, int(_first(vision, ("spatial_merge_size", "hidden_stride"), _first(config, _MERGES, shuffled))))


def _fixed_tokens(config: Mapping[str, Any]) -> int | None:
    """Tokens of a picture, or tile, of any size: what a resampler gives, or Gemma's pooling."""
    resampled = _section(config, "perceiver_config") or {}
    found: int | None = _first(config, ("mm_tokens_per_image",), None) or _first(
        resampled, ("resampler_n_latents",), None
    )
    # Aria's: by number of patches, the most for the size that its processor scales to.
    asked = _section(config, "projector_patch_to_query_dict") or {}
    return found or max((int(count) for count in asked.values() if isinstance(count, int)), default=None)


def _places(vision: Mapping[str, Any], merge: int, view: PlannedImage) -> int | None:
    """Tokens that a tower of one size makes of a picture; None where pictures keep their own size."""
    size, patch = vision.get("image_size"), vision.get("patch_size")
    if not (isinstance(size, int) and isinstance(patch, int)) or "spatial_merge_size" in vision:
        return None
    # Patches a side, of which merge x merge become one token.
    rows = columns = size // patch // merge
    if vision.get("model_type") == "pixtral":
        # It takes a picture of any size up to its own.
        longest = max(view[:2])
        rows, columns = (ceil(min(side, size * side / longest) / patch / merge) for side in view[:2])
    return max(1, rows * columns)
