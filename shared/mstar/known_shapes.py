"""Shapes of published models by name, for plans on machines that do not have the folder.

Sizes are those of each model's published config.json; weights are counted from them. Image tokens are those of a
picture of middling size: computed for Qwen's models, for the others an assumption.
"""

from typing import NamedTuple

from mstar.errors import InvalidInput
from mstar.image_scaling import MAX, MIDDLING, MIN, PlannedImage, seen
from mstar.model_shape import ModelPart, ModelShape, WeightCounts


class _Text(NamedTuple):
    """A language model of Llama's kind."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    tied: bool


class _Vision(NamedTuple):
    """A vision transformer; `gated`: its MLP has three matrices instead of two."""

    hidden: int
    layers: int
    intermediate: int
    patch_values: int
    gated: bool = False


def known_shape(name: str, view: PlannedImage = MIDDLING) -> ModelShape:
    """The shape of a model that is known by this name, in any spelling, with the tokens of the picture as bounded.

    Raises InvalidInput, which lists the names.
    """
    found = _KNOWN.get(_plain(name))
    if found is None:
        names = ", ".join(sorted(shape.name for shape in _KNOWN.values()))
        raise InvalidInput(f"{name[:100]} is not a folder here, and no model known by name: {names}", field="model")
    picture = seen(_QWEN_IMAGES, view) if found.name.startswith("Qwen") else None
    return (
        found
        if picture is None
        else found.model_copy(update={"image_tokens": picture.tokens, "patches": picture.patches})
    )


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _shape(
    name: str, text: _Text, vision: _Vision, projector: tuple[tuple[int, int], ...], image_tokens: int, patches: int
) -> ModelShape:
    head_dim = text.hidden // text.heads
    kv = text.kv_heads * head_dim
    matrices = [(text.hidden, text.hidden), (text.hidden, kv), (text.hidden, kv), (text.hidden, text.hidden)]
    matrices += [(text.hidden, text.intermediate)] * 3
    width = vision.hidden
    # q, k and v count as one fused matrix, as Qwen's tower has them; LoRA adds rank * (inputs + outputs) to each.
    own = [(width, 3 * width), (width, width), *[(width, vision.intermediate)] * (3 if vision.gated else 2)]
    weights = WeightCounts(
        vision=_part(own, vision.layers, 4 * width, vision.patch_values * width),
        projector=_part(list(projector), 1, 0, 0),
        language=_part(matrices, text.layers, 2 * text.hidden, text.hidden),
        # Untied models have an output head of the same size beside the embeddings.
        embedding=text.vocabulary * text.hidden * (1 if text.tied else 2),
        stored=0,
    )
    return ModelShape(
        name=name,
        # Two bytes a weight, as in bf16, in which large models are published.
        weights=weights.model_copy(update={"stored": 2 * weights.parameters}),
        hidden=text.hidden,
        layers=text.layers,
        heads=text.heads,
        kv_heads=text.kv_heads,
        head_dim=head_dim,
        intermediate=text.intermediate,
        vocabulary=text.vocabulary,
        vision_hidden=width,
        vision_layers=vision.layers,
        vision_intermediate=vision.intermediate,
        image_tokens=image_tokens,
        patches=patches,
    )


def _part(matrices: list[tuple[int, int]], layers: int, small: int, once: int) -> ModelPart:
    """`small`: weights of norms and biases in a layer; `once`: those outside of layers."""
    size = layers * sum(a * b for a, b in matrices)
    # [in, out] of each matrix: in * out weights, and in + out for an adapter of rank 1.
    return ModelPart(parameters=size + layers * small + once, linear=layers * sum(map(sum, matrices)), matrices=size)


_QWEN_IMAGES = {"image_processor_type": "Qwen2VLImageProcessor", MIN: 4 * 28 * 28, MAX: 16_384 * 28 * 28}
"""What the folders of Qwen2.5-VL say of pictures."""
_QWEN_TOWER = _Vision(1280, 32, 3420, 3 * 2 * 14 * 14, gated=True)
_MERGED = 4 * 1280
_SHAPES = (
    _shape(
        "Qwen2.5-VL-3B-Instruct", _Text(2048, 36, 16, 2, 11008, 151_936, True), _QWEN_TOWER,
        ((_MERGED, _MERGED), (_MERGED, 2048)), 1024, 4096,
    ),
    _shape(
        "Qwen2.5-VL-7B-Instruct", _Text(3584, 28, 28, 4, 18_944, 152_064, False), _QWEN_TOWER,
        ((_MERGED, _MERGED), (_MERGED, 3584)), 1024, 4096,
    ),
    _shape(
        "MiniCPM-Llama3-V-2_5", _Text(4096, 32, 32, 8, 14_336, 128_256, False), _Vision(1152, 27, 4304, 3 * 14 * 14),
        ((1152, 4096), (4096, 12_288), (4096, 4096), (4096, 4096)), 480, 5 * 1024,
    ),
    _shape(
        "Phi-3.5-vision-instruct", _Text(3072, 32, 32, 32, 8192, 32_064, False), _Vision(1024, 24, 4096, 3 * 14 * 14),
        ((4096, 3072), (3072, 3072)), 757, 5 * 576,
    ),
    _shape(
        "InternVL2-2B", _Text(2048, 24, 16, 8, 8192, 92_553, False), _Vision(1024, 24, 4096, 3 * 14 * 14),
        ((4096, 2048), (2048, 2048)), 5 * 256, 5 * 1024,
    ),
    _shape(
        "builtin:minivista-study", _Text(64, 3, 4, 2, 192, 232, True), _Vision(64, 2, 160, 3 * 8 * 8), ((256, 64),),
        9, 36,
    ),
    _shape(
        "builtin:minivista", _Text(128, 4, 4, 2, 320, 474, True), _Vision(96, 3, 256, 3 * 8 * 8), ((384, 128),), 16, 64
    ),
)  # fmt: skip
_KNOWN = {_plain(shape.name): shape for shape in _SHAPES}
