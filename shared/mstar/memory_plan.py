"""How much memory and disk a training takes, from the model's shape and the recipe: sums of bytes, no measurement.

The terms are those of ZeRO (Rajbhandari et al., arXiv 1910.02054), with the activations that layers of Llama's kind
keep for the backward pass. They are held against measured peaks: on a CPU by `benchmarks.memory`, on a GPU in
docs/gpu-runs.md. What this leaves out: which machine there is (`mstar.cli.plan`), and inference (`run_plan`).
"""

from math import ceil

from mstar.model_shape import ModelPart, ModelShape, WeightCounts
from mstar.train_recipe import Optimizer, Precision, TrainRecipe
from mstar.types import Frozen

MOMENTS = {Optimizer.ADAMW: 2, Optimizer.SGD: 1}
FP32, BF16 = 4, 2
BUCKET = 50_000_000
"""Gradients that are reduced together: DeepSpeed's `reduce_bucket_size`, as the trainer sets it."""
NF4 = 0.5 + 4 / 64
"""Bytes of a weight in 4 bits with a scale of 4 bytes for 64 of them (QLoRA, arXiv 2305.14314, without its second
quantization)."""
SUB_GROUP = 1_000_000_000
"""Weights that ZeRO-3 updates together: DeepSpeed's `sub_group_size`."""
HEAD_PLACES = 1024
"""Places whose logits a GPU holds at a time: `PLACES` of the trainer's loss."""
LOGIT_BYTES = 12
"""Of a logit: itself and its gradient in bf16, both in fp32 too."""
TEXT_TOKENS = 300
"""Tokens of a question and its responses behind one image."""
RESPONSE_SHARE = 0.5
"""Tokens of a micro-batch that are scored: those of responses."""


class TrainingMemory(Frozen):
    """Peak bytes of one training process."""

    weights: int
    optimizer: int
    """Moments, and fp32 weights of what trains: DeepSpeed keeps them also beside weights in fp32."""
    gradients: int
    """When the update begins: those of all micro-batches, and their fp32 copies."""
    held: int = 0
    """Gradients that are there already while a micro-batch is computed."""
    activations: int
    """What the forward pass keeps for the backward pass, and the logits where they are made."""
    host: int = 0
    """Bytes in the machine's memory instead, by offload."""

    @property
    def total(self) -> int:
        """On the device at the worst moment: activations are gone before all gradients are there."""
        return self.weights + self.optimizer + max(self.gradients, self.held + self.activations)


def trained_parameters(weights: WeightCounts, settings: TrainRecipe) -> int:
    """Weights that have gradients. With named LoRA targets this is the most that it can be."""
    # A pair of matrices A [r, in] and B [out, r] for each linear layer: r * (in + out) weights.
    parts = trained_parts(weights, settings)
    if settings.lora:
        return settings.lora.rank * sum(part.linear for part in parts)
    return sum(part.parameters for part in parts) + (0 if settings.freeze_language else weights.embedding)


def trained_parts(weights: WeightCounts, settings: TrainRecipe) -> list[ModelPart]:
    """Parts that are not frozen."""
    parts = (
        (weights.vision, settings.freeze_vision),
        (weights.projector, settings.freeze_projector),
        (weights.language, settings.freeze_language),
    )
    return [part for part, frozen in parts if not frozen]


def checkpoint_bytes(weights: WeightCounts, settings: TrainRecipe) -> int:
    """Bytes of a checkpoint on the disk, at most: where the type depends on the trainer's machine, of the larger."""
    trained, moments = trained_parameters(weights, settings), MOMENTS[settings.optimizer]
    kinds = {Precision.BF16: (True,), Precision.FP32: (False,), Precision.AUTO: (True, False)}[settings.dtype]

    def size(half: bool) -> int:
        width = BF16 if half else FP32
        adapters = width * trained if settings.lora else 0
        # With bf16 the fp32 weights of what trains lie beside the moments.
        return width * weights.parameters + adapters + FP32 * trained * (moments + half)

    return max(map(size, kinds))


def training_memory(
    shape: ModelShape,
    settings: TrainRecipe,
    *,
    gpu: bool = True,
    tokens: int | None = None,
    places: int | None = None,
) -> TrainingMemory:
    """Peak memory of one rank.

    `tokens`: of a micro-batch, else `micro_tokens`; `places`: scored ones among them. On a GPU logits are made for
    `HEAD_PLACES` of them at a time. An update there has more than one micro-batch.
    """
    half = settings.dtype is Precision.BF16 or (settings.dtype is Precision.AUTO and gpu)
    width = BF16 if half else FP32
    tokens = tokens or settings.micro_tokens
    trained = trained_parameters(shape.weights, settings)
    # The trainer runs stage 0 as stage 1, so optimizer states are divided among the ranks in every stage.
    share = settings.ranks
    weights = _weight_bytes(shape, settings, width)
    optimizer = FP32 * (1 + MOMENTS[settings.optimizer]) * ceil(trained / share)
    # Gradients go through a bucket into the rank's part of them, of which the update makes an fp32 copy.
    buckets = 2 * width * min(trained, BUCKET)
    own = width * ceil(trained / (share if settings.zero_stage >= 2 else 1))
    at_once = ceil(trained / share)
    copied = FP32 * (min(at_once, SUB_GROUP) if settings.zero_stage == 3 else at_once)
    if settings.offload_optimizer and gpu:
        # They are sent to the machine's memory as they come, and copied there.
        own = copied = 0
    gradients = buckets + own + copied
    # With one micro-batch, as on a small CPU, the first gradients come while activations go.
    held = buckets + own if gpu else gradients // 2
    places = places if places is not None else int(tokens * RESPONSE_SHARE)
    activations = _activations(shape, settings, tokens, width)
    if gpu:
        activations += LOGIT_BYTES * min(places, HEAD_PLACES) * shape.vocabulary
    else:
        # On a CPU the loss makes all logits at once, [places, vocabulary] in fp32: with log-softmax and gradient.
        activations += 3 * FP32 * places * shape.vocabulary
    host = 0
    if settings.offload_optimizer:
        # The offloaded optimizer (DeepSpeedCPUAdam) keeps fp32 gradients beside weights and moments.
        host, optimizer = optimizer + FP32 * ceil(trained / share), 0
    if settings.offload_parameters:
        host += weights
        # The layer at work and the one that is fetched meanwhile.
        weights = 2 * width * _layer_parameters(shape)
    return TrainingMemory(
        weights=weights, optimizer=optimizer, gradients=gradients, held=held, activations=activations, host=host
    )


def _weight_bytes(shape: ModelShape, settings: TrainRecipe, width: int) -> int:
    weights = shape.weights
    whole = width * weights.parameters
    if settings.lora:
        whole += width * trained_parameters(weights, settings)
        if settings.lora.quantize:
            matrices = sum(part.matrices for part in (weights.vision, weights.projector, weights.language))
            # Embeddings, norms and adapters stay in `width`; only matrices are held in 4 bits.
            whole -= int((width - NF4) * matrices)
    if settings.zero_stage < 3:
        return whole
    # Beside its own part a rank holds the layer at work and the next one.
    return whole // settings.ranks + (2 * width * _layer_parameters(shape) if settings.ranks > 1 else 0)


def _layer_parameters(shape: ModelShape) -> int:
    return shape.weights.language.parameters // shape.layers


def _activations(shape: ModelShape, settings: TrainRecipe, tokens: int, width: int) -> int:
    text = tokens * width * _kept_by_a_layer(shape, width)
    images = max(1, tokens // (shape.image_tokens + TEXT_TOKENS))
    patches = images * shape.patches
    vision = 0 if settings.freeze_vision else patches * width * _kept_by_a_vision_layer(shape)
    if not settings.gradient_checkpointing:
        return text * shape.layers + vision * shape.vision_layers
    # With checkpointing each layer keeps its input, and one layer at a time is computed again in full.
    inputs = tokens * width * shape.hidden * shape.layers
    vision_inputs = 0 if settings.freeze_vision else patches * width * shape.vision_hidden * shape.vision_layers
    return inputs + vision_inputs + max(text, vision)


def _kept_by_a_layer(shape: ModelShape, width: int) -> int:
    """Values a token that a layer keeps: inputs and outputs of norms, q, k, v for all heads, attention, and the MLP."""
    # In bf16 norms are computed in fp32 and keep that.
    norms = 8 if width == BF16 else 6
    return norms * shape.hidden + 5 * shape.heads * shape.head_dim + 4 * shape.intermediate


def _kept_by_a_vision_layer(shape: ModelShape) -> int:
    return 10 * shape.vision_hidden + 3 * shape.vision_intermediate
