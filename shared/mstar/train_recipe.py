"""How one model is trained: the same options for warm-up, PRM and iterations.

What this leaves out: which rows train (`recipes`), and the arithmetic of the rate (`mstar_trainer.schedule`).
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from mstar.misfit import Misfit
from mstar.types import Frozen

MAX_UPDATES = 10_000_000
ALL_LINEAR = "all-linear"
"""The LoRA target that stands for every linear layer but the output head."""


class Schedule(StrEnum):
    """Course of the learning rate. The paper's reading notes give a constant one; the others are ours."""

    CONSTANT = "constant"
    COSINE = "cosine"
    WSD = "wsd"


class Optimizer(StrEnum):
    """AdamW keeps two moments of each trained weight, SGD with momentum one."""

    ADAMW = "adamw"
    SGD = "sgd"


class Precision(StrEnum):
    """Type of weights and activations in training; with `bf16`, fp32 master weights are kept of what trains."""

    AUTO = "auto"
    BF16 = "bf16"
    FP32 = "fp32"


class LoraRecipe(Frozen):
    """Low-rank adapters (Hu et al., arXiv 2106.09685): the model stays as it is, and only they train."""

    rank: int = Field(default=16, ge=1, le=1024)
    """Rank r of each pair of matrices A [r, in] and B [out, r]."""
    alpha: float = Field(default=32.0, gt=0, le=4096)
    """The output of the adapters is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of an adapter's inputs that are dropped during training."""
    targets: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}$")], ...] = Field(
        default=(ALL_LINEAR,), min_length=1, max_length=64
    )
    """Linear layers that get an adapter, by the end of their names, such as `q_proj`; `all-linear`: every one but the
    output head. Frozen parts get no adapter."""
    quantize: bool = False
    """Hold the frozen weights in 4 bits (QLoRA, NF4). Needs a GPU and bitsandbytes beside the trainer."""


class TrainRecipe(Frozen):
    """One optimisation. Defaults are those of the paper's reading notes: AdamW at a constant rate."""

    learning_rate: float = Field(default=1e-6, gt=0, le=1)
    """Peak learning rate, reached after `warmup_steps`."""
    schedule: Schedule = Schedule.CONSTANT
    """Learning rate after `warmup_steps`: `constant`, `cosine` decay to `final_rate`, or `wsd`: constant, then linear
    decay over the last `decay_share`. The last two need a number of updates, over which they run once."""
    warmup_steps: int = Field(default=0, ge=0, le=1_000_000)
    """Length of the linear warm-up of the rate, in updates; iterations that carry the schedule over do not repeat
    it."""
    final_rate: float = Field(default=0.0, ge=0, le=1)
    """Rate at the end of `cosine` and `wsd`, as a share of `learning_rate`."""
    decay_share: float = Field(default=0.2, gt=0, le=1)
    """Share of all updates, at the end, over which `wsd` lowers the rate."""
    updates: int | None = Field(default=None, ge=1, le=MAX_UPDATES)
    """Optimizer steps of this training (of each iteration): rows are repeated or cut in seeded order. Unset: as many as
    `epochs` takes."""
    batch_size: int = Field(default=128, ge=1, le=65_536)
    """Examples per optimizer step, over all ranks; a multiple of `ranks`."""
    micro_tokens: int = Field(default=8192, ge=1, le=1_048_576)
    """Maximum number of tokens per forward pass and rank, padding included; a longer example is a pass of its own."""
    epochs: int = Field(default=1, ge=1, le=100)
    """Passes over the selected rows, if `updates` is unset."""
    optimizer: Optimizer = Optimizer.ADAMW
    """`adamw` (betas 0.9 and 0.999), or `sgd` with momentum 0.9, whose state takes half the memory."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """Weight decay on all trained weights."""
    max_grad_norm: float = Field(default=1.0, gt=0, le=1e6)
    """Gradients with a larger norm are scaled down to this one."""
    freeze_vision: bool = False
    """Do not train the vision tower; its outputs are then computed once."""
    freeze_projector: bool = False
    """Do not train the projector between vision tower and language model."""
    freeze_language: bool = False
    """Do not train the language model and its output head."""
    lora: LoraRecipe | None = None
    """Train low-rank adapters of the parts that are not frozen, and nothing else; unset: train the weights."""
    dtype: Precision = Precision.AUTO
    """`bf16` or `fp32`; `auto`: bf16 on a GPU, fp32 on a CPU."""
    gradient_checkpointing: bool = False
    """Keep only the inputs of layers, and recompute the rest in the backward pass: less memory, a third more work."""
    zero_stage: int = Field(default=2, ge=0, le=3)
    """DeepSpeed ZeRO stage: 1 partitions optimizer states over the ranks, 2 also gradients, 3 also weights."""
    offload_optimizer: bool = False
    """Keep optimizer states and master weights in CPU memory and update them there."""
    offload_parameters: bool = False
    """Keep weights in CPU memory and load each layer when it is needed; with `zero_stage` 3 only."""
    ranks: int = Field(default=1, ge=1, le=1024)
    """Training processes, one for each GPU."""

    @model_validator(mode="after")
    def _even_shares(self) -> Self:
        if self.batch_size % self.ranks:
            lower = self.batch_size - self.batch_size % self.ranks
            near = " or ".join(str(size) for size in (lower, lower + self.ranks) if size)
            raise Misfit(
                "batch_size", f"{self.batch_size} examples cannot be shared evenly by {self.ranks} ranks: set {near}"
            )
        return self

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.updates is not None and self.epochs != 1:
            raise Misfit("epochs", "updates already says how long to train: leave epochs out, or updates")
        return self

    @model_validator(mode="after")
    def _something_trains(self) -> Self:
        if self.freeze_vision and self.freeze_projector and self.freeze_language:
            raise Misfit("freeze_language", "nothing is left to train: leave one of the three parts unfrozen")
        return self

    @model_validator(mode="after")
    def _stage_allows(self) -> Self:
        if self.offload_parameters and self.zero_stage != 3:
            raise Misfit("offload_parameters", "weights can be brought layer by layer with zero_stage 3 only: set it")
        if self.lora and self.lora.quantize and self.zero_stage == 3:
            raise Misfit("lora.quantize", "4-bit weights cannot be partitioned: set zero_stage to 2 or less")
        return self

    def check_schedule(self, updates: int | None, budget: str) -> None:
        """Raises Misfit where the schedule does not fit its whole length, `updates`, which the field `budget` sets.

        For the section that holds these settings as `train`.
        """
        if self.schedule is not Schedule.CONSTANT and updates is None:
            raise Misfit("train.schedule", f"{self.schedule.value} must know where it ends: set {budget}")
        if updates is not None and self.warmup_steps >= updates:
            raise Misfit("train.warmup_steps", f"{self.warmup_steps} leaves nothing of {updates} updates: lower it")

    def can_go_on_from(self, before: "TrainRecipe") -> bool:
        """Whether an optimizer that trained with the settings `before` has a state for all that these train."""
        if (self.optimizer, self.lora) != (before.optimizer, before.lora):
            return False
        parts = ("freeze_vision", "freeze_projector", "freeze_language")
        pairs = [(getattr(before, part), getattr(self, part)) for part in parts]
        # Adapters of a part that is frozen now would be lost, so with LoRA the parts must be the same.
        # Without LoRA a part may freeze later, since its states are only left unused; thawing it would lack them.
        return all(was == now if self.lora else was <= now for was, now in pairs)


def share_of(updates: int, parts: int, number: int) -> int:
    """Updates of the part `number` (1-based) of `parts` that share a budget: the first ones get what is left over.

    A part after the last, such as an iteration that was added later, gets as many as the last. At least 1.
    """
    whole, rest = divmod(updates, parts)
    return max(1, whole + (number <= rest))
