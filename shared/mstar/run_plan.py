"""Estimates what a run takes before it starts: memory of each service, disk, tokens and GPU-hours.

Every rate is an assumption that the caller can change, and none of them is a measurement of this machine. What this
leaves out: reading the model (`model_folder`, `known_shapes`) and printing (`mstar.cli.plan`).
"""

from collections.abc import Iterator

from pydantic import Field

from mstar.evolution import sweep_precedes
from mstar.memory_plan import BF16, checkpoint_bytes, training_memory
from mstar.model_shape import ModelShape, WeightCounts
from mstar.recipes import Recipe
from mstar.train_recipe import TrainRecipe
from mstar.types import Frozen

GIGA = 10**9
RESERVE = 2 * GIGA
"""Bytes of a GPU for the CUDA context, communication and fragments."""
POLICY_SHARE = 0.9
"""Of a GPU's memory that vLLM may take (MSTAR_POLICY_GPU_MEMORY_SHARE)."""
PRM = "prm"
"""Section of a recipe whose training starts from `prm.base`."""
SCORE_TOKENS = 16_384
"""Tokens that the PRM computes at once."""


class Machine(Frozen):
    """GPUs of one kind, and what they are assumed to do. Defaults: H100 SXM, bf16."""

    gpus: int = Field(ge=1)
    gpu_bytes: int = Field(ge=1)
    tflops: float = Field(default=989.0, gt=0)
    """Dense peak of one GPU."""
    bandwidth: float = Field(default=3.35, gt=0)
    """Terabytes a second of its memory."""
    training_share: float = Field(default=0.3, gt=0, le=1)
    """Of the peak that training reaches: 0.28 with all weights of 2.2 B, 0.36 with LoRA at 8.3 B (docs/gpu-runs.md)."""
    prefill_share: float = Field(default=0.4, gt=0, le=1)
    """Of the peak that prompts and scoring reach: 0.43 was measured for trees of 8,000 tokens and more."""
    decode_share: float = Field(default=0.5, gt=0, le=1)
    """Of the rate that memory bandwidth allows when responses are sampled."""
    batch: int = Field(default=256, ge=1)
    """Responses that are sampled together on a GPU."""


class Habits(Frozen):
    """What the questions and the model's responses are assumed to be like."""

    question_tokens: int = Field(default=120, ge=1)
    """Tokens of a prompt beside its image."""
    response_tokens: int = Field(default=220, ge=1)
    """Of a response, on average."""
    steps: int = Field(default=6, ge=1)
    """Of a response, on average."""
    correct: float = Field(default=0.5, gt=0, le=1)
    """Share of responses that are correct."""


class ServicePlan(Frozen):
    """Memory of one service on each of its GPUs."""

    name: str
    gpus: int
    parts: dict[str, int]
    """Bytes by what they are for."""
    room: int
    """Bytes that there are."""
    remedies: tuple[str, ...] = ()
    """What to change, where it does not fit."""
    host: int = 0
    """Bytes of the machine's memory, for all GPUs together."""

    @property
    def total(self) -> int:
        """Bytes that are needed."""
        return sum(self.parts.values())

    @property
    def fits(self) -> bool:
        """Whether there is room, and there are as many GPUs."""
        return self.total <= self.room and not any("GPUs" in remedy for remedy in self.remedies)


class PlannedWork(Frozen):
    """Tokens of one part of the run, and the time of one GPU that they take."""

    name: str
    sampled: int = 0
    """Tokens that are sampled."""
    read: int = 0
    """Tokens of prompts, and those that are scored."""
    trained: int = 0
    """Tokens that are trained on, prompts included."""
    gpu_hours: float


class RunPlan(Frozen):
    """The whole plan."""

    model: ModelShape
    prm: ModelShape | None = None
    """Of `prm.base`, where the recipe names one."""
    services: tuple[ServicePlan, ...]
    work: tuple[PlannedWork, ...]
    checkpoints: int
    """How many are kept."""
    disk: int
    """Bytes of all of them, of the base and of the two published models."""

    @property
    def fits(self) -> bool:
        """Whether every service has room."""
        return all(service.fits for service in self.services)

    @property
    def gpu_hours(self) -> float:
        """Of the whole run."""
        return sum(part.gpu_hours for part in self.work)


def plan_run(
    recipe: Recipe, shape: ModelShape, machine: Machine, habits: Habits, prm: ModelShape | None = None
) -> RunPlan:
    """Memory, disk and work of a run; `prm`: the shape of `prm.base`, None where the PRM is made of the policy's."""
    trainings = recipe.trainings()
    services = [_policy(recipe, shape, machine, habits)]
    if recipe.prm is not None:
        services.append(_prm(prm or shape, machine))
    services += [
        plan_training(name, settings, prm if prm and name == PRM else shape, machine)
        for name, settings in trainings.items()
    ]
    return RunPlan(
        model=shape,
        prm=prm,
        services=tuple(services),
        work=tuple(_Tally(recipe, shape, prm or shape, machine, habits).all()),
        checkpoints=recipe.evolution.iterations + len(trainings) - 1,
        disk=disk_bytes(recipe, shape.weights, prm=None if prm is None else prm.weights),
    )


def disk_bytes(
    recipe: Recipe, weights: WeightCounts, *, checkpoints: bool = True, prm: WeightCounts | None = None
) -> int:
    """Bytes of a run below its home: a copy of each base, every checkpoint, and the published policy and PRM.

    Without `checkpoints`, of the published models only: the others lie in an object store. `prm`: the weights of
    `prm.base`, None where the PRM is made of the policy's.
    """
    published = _published(weights) + (_published(prm or weights) if recipe.prm is not None else 0)
    if not checkpoints:
        return published
    times = {"evolution": recipe.evolution.iterations}
    kept = sum(
        times.get(name, 1) * checkpoint_bytes(prm if prm and name == PRM else weights, settings)
        for name, settings in recipe.trainings().items()
    )
    return weights.stored + (prm.stored if prm else 0) + kept + published


def _published(weights: WeightCounts) -> int:
    """Bytes of a model that the run leaves: in float32, as the trainer writes it, or larger where it was so stored."""
    return max(weights.stored, 4 * weights.parameters)


def _policy(recipe: Recipe, shape: ModelShape, machine: Machine, habits: Habits) -> ServicePlan:
    """One copy of the model a GPU, with keys and values of the responses that are sampled together."""
    prompt = shape.image_tokens + habits.question_tokens
    groups = max(1, machine.batch // recipe.evolution.n)
    kept = groups * (prompt + recipe.evolution.n * min(recipe.generation.max_tokens, 2 * habits.response_tokens))
    parts = {
        "weights": BF16 * shape.weights.parameters,
        "keys and values": kept * _kv_bytes(shape),
        "work space": SCORE_TOKENS * BF16 * (4 * shape.hidden + 2 * shape.intermediate),
    }
    # vLLM takes its share of the whole memory whatever else is there, so the reserve comes off that.
    room = int(POLICY_SHARE * machine.gpu_bytes) - RESERVE
    over = sum(parts.values()) > room
    remedies = ("serve with MSTAR_POLICY_TENSOR_PARALLEL above 1, or lower generation.max_tokens",) if over else ()
    return ServicePlan(name="policy", gpus=machine.gpus, parts=parts, room=room, remedies=remedies)


def _prm(shape: ModelShape, machine: Machine) -> ServicePlan:
    parts = {
        "weights": BF16 * shape.weights.parameters,
        "work space": SCORE_TOKENS * (BF16 * (8 * shape.hidden + 3 * shape.intermediate) + 4 * shape.hidden),
        "keys and values": SCORE_TOKENS * _kv_bytes(shape),
    }
    room = machine.gpu_bytes - RESERVE
    remedies = ("take GPUs with more memory for the PRM",) if sum(parts.values()) > room else ()
    return ServicePlan(name="prm", gpus=machine.gpus, parts=parts, room=room, remedies=remedies)


def plan_training(name: str, settings: TrainRecipe, shape: ModelShape, machine: Machine) -> ServicePlan:
    """Memory of the training in the section `name` of a recipe."""
    memory = training_memory(shape, settings)
    room = machine.gpu_bytes - RESERVE
    active = memory.total - memory.weights - memory.optimizer
    remedies = list(_remedies(settings, shape, machine, room)) if memory.total > room else []
    if settings.ranks > machine.gpus:
        remedies.insert(0, f"{name}.train.ranks is {settings.ranks} and there are {machine.gpus} GPUs: lower it")
    return ServicePlan(
        name=f"trainer: {name}",
        gpus=settings.ranks,
        parts={
            "weights": memory.weights,
            "optimizer": memory.optimizer,
            "gradients and activations": active,
        },
        room=room,
        remedies=tuple(remedies),
        host=memory.host * settings.ranks,
    )


def _remedies(settings: TrainRecipe, shape: ModelShape, machine: Machine, room: int) -> Iterator[str]:
    """Changes in the order of what they cost, each on top of those before, until it fits."""
    steps: tuple[tuple[str, dict[str, object]], ...] = (
        ("gradient_checkpointing: true", {"gradient_checkpointing": True}),
        ("micro_tokens: 4096", {"micro_tokens": min(4096, settings.micro_tokens)}),
        (f"ranks: {machine.gpus}", {"ranks": machine.gpus}),
        ("zero_stage: 3", {"zero_stage": 3}),
        ("offload_optimizer: true", {"offload_optimizer": True}),
        ("offload_parameters: true", {"offload_parameters": True}),
    )
    for text, change in steps:
        # Not validated: zero_stage 3 comes before offload_parameters, which demands it.
        changed = settings.model_copy(update=change)
        if changed == settings:
            continue
        settings = changed
        yield text
        if training_memory(shape, settings).total <= room:
            return
    yield "or lora: {rank: 16}, more GPUs, or a smaller model"


def _kv_bytes(shape: ModelShape) -> int:
    """Bytes of a token's keys and values in bf16."""
    return 2 * BF16 * shape.layers * shape.kv_heads * shape.head_dim


class _Tally:
    """Counts the tokens of every part of a run."""

    def __init__(self, recipe: Recipe, shape: ModelShape, prm: ModelShape, machine: Machine, habits: Habits) -> None:
        """`shape`: the policy's; `prm`: that of the model which scores."""
        self.recipe, self.shape, self.prm, self.machine, self.habits = recipe, shape, prm, machine, habits
        self.response = min(habits.response_tokens, recipe.generation.max_tokens)
        self.prompt = shape.image_tokens + habits.question_tokens

    def all(self) -> Iterator[PlannedWork]:
        recipe, habits = self.recipe, self.habits
        plan, sweep, check = recipe.evolution, recipe.exploration, recipe.evaluation
        if (warmup := recipe.warmup) is not None:
            yield self.sampling("warm-up: sample", warmup.questions, warmup.n)
            rows = warmup.questions * min(warmup.keep_per_question, warmup.n * habits.correct)
            yield self.training("warm-up: train", warmup.train, 1, rows, warmup.keep_per_question)
        if (prm := recipe.prm) is not None and prm.train is not None:
            yield self.sampling("prm: sample", prm.questions, prm.n)
            # A prefix is completed from its middle, on average.
            prefixes = prm.questions * prm.n * min(habits.steps, prm.max_steps)
            yield self.sampling("prm: label", prefixes, prm.completions, self.response // 2)
            yield self.training("prm: train", prm.train, 1, prm.questions * prm.n, prm.n, self.prm)
        yield self.sampling("iterations: sample", plan.iterations * plan.questions, plan.n)
        each = min(plan.selection.rule.most_kept(plan.selection, plan.n), plan.n * habits.correct)
        if plan.selection.rule.needs_prm:
            yield self.scoring("iterations: score", plan.iterations * plan.questions, plan.n * habits.correct)
        updates = [plan.train_of(number).updates for number in range(1, plan.iterations + 1)]
        whole = sum(one or 0 for one in updates) if all(updates) else None
        settings = plan.train.model_copy(update={"updates": whole})
        yield self.training("iterations: train", settings, plan.iterations, plan.questions * each, each)
        sweeps = sum(sweep_precedes(recipe, number) for number in range(1, plan.iterations + 1))
        if sweeps:
            yield self.sampling(f"{sweeps} sweeps: sample", sweeps * sweep.questions, sweep.n * len(sweep.grid))
            if sweep.mode == "reward_pass":
                yield self.scoring(f"{sweeps} sweeps: score", sweeps * sweep.questions, sweep.n * len(sweep.grid))
        # Every iteration, the base, and the warm-up where there is one; None: measured in full (`tests_after`).
        points = [*range(1, plan.iterations + 1), *[None] * (1 + (recipe.warmup is not None))]
        greedy = sum(sum(recipe.tests_after(point).values()) for point in points)
        responses = greedy + len(points) * recipe.data.validation * (1 + check.n * (1 + len(check.temperatures)))
        yield self.sampling("evaluation", responses, 1)

    def sampling(self, name: str, prompts: int, each: int, tokens: int | None = None) -> PlannedWork:
        """`each` responses of `tokens` tokens to every prompt, whose prefix is computed once."""
        sampled = int(prompts * each * (tokens or self.response))
        read = prompts * self.prompt
        machine, parameters = self.machine, self.shape.weights.parameters
        # The prompt's keys and values are shared by its responses, so each carries its part of them.
        context = self.prompt // max(1, min(each, machine.batch)) + self.response
        # One decoding step reads all weights once and the keys and values of every response of the batch.
        bytes_a_step = BF16 * parameters + machine.batch * context * _kv_bytes(self.shape)
        by_memory = bytes_a_step / (machine.bandwidth * 1e12)
        # A multiplication and an addition for each weight and token.
        by_work = 2 * parameters * machine.batch / (machine.tflops * 1e12)
        rate = machine.decode_share * machine.batch / max(by_memory, by_work)
        seconds = sampled / rate + self.forward_seconds(read, prompts)
        return PlannedWork(name=name, sampled=sampled, read=read, gpu_hours=seconds / 3600)

    def scoring(self, name: str, questions: int, responses: float) -> PlannedWork:
        """Responses of a question behind one prompt."""
        read = int(questions * (self.prm.image_tokens + self.habits.question_tokens + responses * self.response))
        return PlannedWork(name=name, read=read, gpu_hours=self.forward_seconds(read, questions, self.prm) / 3600)

    def training(
        self,
        name: str,
        settings: TrainRecipe,
        times: int,
        rows: float,
        of_one: float,
        shape: ModelShape | None = None,
    ) -> PlannedWork:
        """`rows` rows, `of_one` of them to a question, each of `times` times; or a budget of updates.

        `shape`: of the model that is trained, if not the policy's.
        """
        shape = shape or self.shape
        visits = settings.updates * settings.batch_size if settings.updates else times * rows * settings.epochs
        questions = visits / max(1.0, of_one)
        prompt = shape.image_tokens + self.habits.question_tokens
        trained = int(questions * prompt + visits * self.response)
        # Backward: twice the forward work; half of that where weights are frozen below adapters. And forward again
        # where activations are not kept.
        passes = (2 if settings.lora else 3) + settings.gradient_checkpointing
        seconds = passes * self.forward_seconds(trained, questions, shape)
        share = self.machine.prefill_share / self.machine.training_share
        return PlannedWork(name=name, trained=trained, gpu_hours=seconds * share / 3600)

    def forward_seconds(self, tokens: float, images: float, shape: ModelShape | None = None) -> float:
        """Of one GPU at the rate of prompts: two operations a weight and token, the tower's for every patch."""
        shape = shape or self.shape
        weights = shape.weights
        # Of embedding and head only the head multiplies. Tied weights are counted once, so half of theirs is missed.
        language = weights.language.parameters + weights.embedding // 2
        operations = 2 * (language * tokens + weights.vision.parameters * images * shape.patches)
        return operations / (self.machine.prefill_share * self.machine.tflops * 1e12)
