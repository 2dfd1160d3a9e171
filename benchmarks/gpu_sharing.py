"""GPU-hours and time of one iteration in each `gpuSharing.mode`, for clusters of 1 to 512 GPUs. A simulation.

`python -m benchmarks.gpu_sharing` prints the tables and writes gpu_sharing.md beside this file. Work is counted from
the paper's sizes, rates come from published measurements named below, and nothing here was measured on a GPU of ours.
Left out: evaluation, failures, and what a cluster's scheduler adds to a start.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from pathlib import Path

# The iteration: 25 % of 180K questions, 16 responses, top 2 (arXiv 2412.17451); lengths are ours, for an image of 600
# to 700 tokens and a chain of a few steps.
QUESTIONS, SAMPLES, KEPT, BATCH = 45_000, 16, 2, 128
PROMPT_TOKENS, RESPONSE_TOKENS, MOST_TOKENS = 800, 200, 512
CORRECT_SHARE = 0.42
"""Greedy accuracy on validation during the paper's run; only correct responses are scored."""
SWEEP_QUESTIONS, SWEEP_GRID, SWEEP_EVERY = 250, 14, 2
SHARD_QUESTIONS = 32

# The model and its GPUs: 8 B parameters in bf16 on H100 SXM.
PARAMETERS = 8e9
WEIGHT_BYTES = 2 * PARAMETERS
STATE_BYTES = 14 * PARAMETERS
"""Weights, fp32 master weights and two moments, as a checkpoint for going on holds them."""
PEAK = 989e12
"""Dense bf16 FLOP/s of an H100 SXM."""

DECODE_RATE = 6_000.0
"""Tokens a second that one H100 samples from a 7 B model (Hugging Face, "Keep the Tokens Flowing", 2026-03-10)."""
PREFILL_SHARE = 0.53
"""Of the peak: 15,926 tokens/s of Qwen3-32B on two H100 (llm-d/llm-d#2071)."""
TRAIN_SHARE = 0.45
"""Of the peak, for packed rows of a dense model. Assumed, so VARIANTS has others."""
OFFLOAD_SHARE = 0.32
"""Of the peak, with the optimizer in host memory: 40 of 125 TFLOP/s on a V100 (ZeRO-Offload, arXiv 2101.06840)."""
OFFLOAD_BELOW = 4
"""With fewer GPUs the state of ZeRO-2 and the activations do not fit in 80 GB each."""
NODE_GPUS = 8
NVLINK, NICS = 450e9, 400e9
"""Bytes a second of a ring within a node, and across nodes with a 400 Gb/s adapter for each GPU."""
HOST_LINK = 25e9
"""Bytes a second between a GPU and its host (PCIe 4.0 x16, in practice)."""
DISK = 6e9
"""Bytes a second of the shared store, for the reader and for the writer (one NVMe drive)."""
STEP_SECONDS = 0.0143
"""One decoding step of 256 sequences: weights and keys read once from 3.35 TB/s memory. Computed."""
START_SECONDS = 85.3
"""From nothing to the first token: Qwen3-32B in vLLM (llm-d/llm-d#2492). Taken for the trainer's Job too."""
SLEEP_SECONDS, WAKE_SECONDS = 0.3, 6.5
"""Level 2, Qwen3-8B (vllm-project/vllm#48337): the weights are read again, which is right for new ones."""

PAGE = Path(__file__).with_suffix(".md")
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Mode(StrEnum):
    """Values of `gpuSharing.mode`."""

    DEDICATED = "dedicated"
    SCALE_TO_ZERO = "scaleToZero"
    COLOCATED = "colocated"


@dataclass(frozen=True)
class Work:
    """What one iteration asks of its GPUs, in seconds of one H100."""

    sweep_rollouts: float
    sweep_scoring: float
    rollouts: float
    scoring: float
    training: float
    steps: int
    """Optimizer steps, which come one after the other."""
    shards: int

    @property
    def total(self) -> float:
        return self.sweep_rollouts + self.sweep_scoring + self.rollouts + self.scoring + self.training


@dataclass(frozen=True)
class Split:
    """GPUs of each service in dedicated mode; without a trainer, of a phase that samples and scores."""

    policy: int
    prm: int
    trainer: int = 0

    @property
    def gpus(self) -> int:
        return self.policy + self.prm + self.trainer


@dataclass(frozen=True)
class Cost:
    """One iteration in one mode. `held` is in GPU-seconds, idle ones included."""

    mode: Mode
    wall: float
    held: float
    how: str

    @property
    def gpu_hours(self) -> float:
        return self.held / 3600


def iteration_work(questions: int = QUESTIONS, train_share: float = TRAIN_SHARE) -> Work:
    """Work of an iteration; a question's image and text are computed once for all its responses."""
    swept = SWEEP_QUESTIONS / SWEEP_EVERY
    responses = SWEEP_GRID * SAMPLES
    trained = questions * (PROMPT_TOKENS + KEPT * RESPONSE_TOKENS)
    return Work(
        sweep_rollouts=_sampled(swept, responses),
        sweep_scoring=_read(swept, responses),
        rollouts=_sampled(questions, SAMPLES),
        scoring=_read(questions, SAMPLES * CORRECT_SHARE),
        # Forward, backward and a second forward for the activations that were not kept.
        training=8 * PARAMETERS * trained / (train_share * PEAK),
        steps=-(-questions * KEPT // BATCH),
        shards=-(-questions // SHARD_QUESTIONS),
    )


def _read(questions: float, responses: float) -> float:
    tokens = questions * (PROMPT_TOKENS + responses * RESPONSE_TOKENS)
    return 2 * PARAMETERS * tokens / (PREFILL_SHARE * PEAK)


def _sampled(questions: float, responses: float) -> float:
    return _read(questions, 0) + questions * responses * RESPONSE_TOKENS / DECODE_RATE


TAIL_SECONDS = MOST_TOKENS * STEP_SECONDS
"""The longest response has no other to share its time with."""
PUSH_SECONDS = 2 * WEIGHT_BYTES / DISK
"""New weights, written once and read by all replicas at once."""
STATE_SECONDS = 2 * STATE_BYTES / DISK
"""A trainer that ends with its phase writes its state and reads it again."""
SWITCH_SECONDS = SLEEP_SECONDS + WAKE_SECONDS
TURNS = 2 * (1 + 1 / SWEEP_EVERY)
"""How often policy and PRM follow each other on the same GPUs, with a sweep every second iteration."""
SWEEP_SHARDS = -(-SWEEP_QUESTIONS // SHARD_QUESTIONS)


# --- stages


def pipeline_seconds(stages: Sequence[float], shards: int) -> float:
    """Equal shards through stages that each take one at a time, in order: never below the slowest stage."""
    return sum(stages) / shards + max(stages) * (shards - 1) / shards


def training_seconds(work: Work, gpus: int) -> float:
    """Steps one after the other; gradients travel while others are computed, so the slower of both counts.

    A question's two rows are one packed tree, so no more GPUs than `BATCH / KEPT` have anything to do.
    """
    busy = min(gpus, BATCH // KEPT)
    offload = TRAIN_SHARE / OFFLOAD_SHARE if busy < OFFLOAD_BELOW else 1.0
    link = NVLINK if busy <= NODE_GPUS else NICS
    exchange = 0.0 if busy == 1 else 2 * WEIGHT_BYTES / link
    return work.steps * max(offload * work.training / work.steps / busy, exchange)


def best_trainer(work: Work, most: int) -> int:
    """The least number of GPUs that trains as fast as any up to `most`."""
    return min(range(1, most + 1), key=lambda gpus: (training_seconds(work, gpus), gpus))


def _stages(work: Work, split: Split) -> tuple[float, ...]:
    trained = (training_seconds(work, split.trainer),) if split.trainer else ()
    return (work.rollouts / split.policy, work.scoring / split.prm, *trained)


def streamed_seconds(work: Work, split: Split) -> float:
    """The sweep, then the iteration's shards: one is scored, and trained on, while others are sampled."""
    swept = (work.sweep_rollouts / split.policy, work.sweep_scoring / split.prm)
    shards = pipeline_seconds(_stages(work, split), work.shards)
    return 2 * TAIL_SECONDS + pipeline_seconds(swept, SWEEP_SHARDS) + shards


def bound(work: Work, split: Split) -> float:
    """What no order of work on separate GPUs can beat: the slowest stage, and the push."""
    return max(_stages(work, split)) + PUSH_SECONDS


# --- modes


def dedicated(work: Work, split: Split) -> Cost:
    """Each service keeps its GPUs."""
    wall = streamed_seconds(work, split) + PUSH_SECONDS
    return Cost(Mode.DEDICATED, wall, split.gpus * wall, f"{split.policy} + {split.prm} + {split.trainer}")


def scale_to_zero(work: Work, gpus: int) -> Cost:
    """Pods that start cold: policy and PRM, side by side or in turn, then the trainer, on the GPUs it can use."""
    sampling, how = min(_cold_sampling(work, gpus))
    trainer = best_trainer(work, gpus)
    training = START_SECONDS + STATE_SECONDS + training_seconds(work, trainer) + PUSH_SECONDS
    held = gpus * sampling + trainer * training
    return Cost(Mode.SCALE_TO_ZERO, sampling + training, held, f"{how}, then {trainer}")


def _cold_sampling(work: Work, gpus: int) -> Iterator[tuple[float, str]]:
    """Ways to sample and score: each on all GPUs, with starts for the sweep too, or both at once on a part each."""
    yield TURNS * START_SECONDS + _in_turn(work, gpus), f"{gpus} in turn"
    if gpus > 1:
        split = best_split(work, gpus, trainer=False)
        yield START_SECONDS + streamed_seconds(work, split), f"{split.policy} + {split.prm}"


def colocated(work: Work, gpus: int) -> Cost:
    """One set of pods whose engines sleep and wake; the trainer's state moves between GPU and host."""
    trainer = best_trainer(work, gpus)
    moved = 2 * (STATE_BYTES + WEIGHT_BYTES) / trainer / HOST_LINK
    wall = _in_turn(work, gpus) + training_seconds(work, trainer) + TURNS * SWITCH_SECONDS + moved + PUSH_SECONDS
    return Cost(Mode.COLOCATED, wall, gpus * wall, f"{gpus} in turn, then {trainer}")


def _in_turn(work: Work, gpus: int) -> float:
    """Sampling, then scoring, each on all GPUs."""
    sampled = work.sweep_rollouts + work.rollouts
    return (sampled + work.sweep_scoring + work.scoring) / gpus + 2 * TAIL_SECONDS


def best_split(work: Work, gpus: int, *, trainer: bool = True) -> Split:
    """The split of this many GPUs that ends first. Needs one for each service."""
    return min(_splits(gpus, trainer=trainer), key=lambda split: streamed_seconds(work, split))


def _splits(gpus: int, *, trainer: bool) -> Iterator[Split]:
    for training in range(1, min(gpus - 2, BATCH // KEPT) + 1) if trainer else (0,):
        for prm in range(1, gpus - training):
            yield Split(gpus - training - prm, prm, training)


def costs(work: Work, gpus: int) -> list[Cost]:
    """Every mode that this many GPUs allow."""
    own = [dedicated(work, best_split(work, gpus))] if gpus >= 3 else []
    return [*own, scale_to_zero(work, gpus), colocated(work, gpus)]


def fastest(work: Work, gpus: int) -> Cost:
    return min(costs(work, gpus), key=lambda cost: cost.wall)


def cheapest(work: Work, gpus: int) -> Cost:
    return min(costs(work, gpus), key=lambda cost: cost.held)


# --- tables


def report() -> str:
    """The Markdown page."""
    work = iteration_work()
    return "\n\n".join((HEAD, _shares(work), _table(work), _winners())) + "\n"


HEAD = f"""# Sharing GPUs between sampling, scoring and training

A simulation, not a measurement: `python -m benchmarks.gpu_sharing`, which names the source of every rate. One iteration
of the paper's size: {QUESTIONS:,} questions, {SAMPLES} responses of {RESPONSE_TOKENS} tokens after {PROMPT_TOKENS}, the
best {KEPT} trained on, a sweep every second time; 8 B parameters on H100."""


def _shares(work: Work) -> str:
    parts = {
        "sweep": work.sweep_rollouts + work.sweep_scoring,
        "rollouts": work.rollouts,
        "scoring": work.scoring,
        "training": work.training,
    }
    lines = [f"| {name} | {seconds / 3600:.2f} | {seconds / work.total:.0%} |" for name, seconds in parts.items()]
    return "\n".join(["| stage | GPU-hours | share |", "|---|---|---|", *lines])


def _table(work: Work) -> str:
    head = "| GPUs | mode | minutes | GPU-hours held | busy | GPUs of each stage |\n|---|---|---|---|---|---|\n"
    rows = [
        f"| {gpus} | {cost.mode.value} | {cost.wall / 60:.1f} | {cost.gpu_hours:.1f} | {work.total / cost.held:.0%} "
        f"| {cost.how} |"
        for gpus in SIZES
        for cost in costs(work, gpus)
    ]
    return head + "\n".join(rows) + "\n\nBusy: work over GPU time held. GPUs: policy + PRM + trainer."


VARIANTS = {
    "as above": iteration_work(),
    f"training at {TRAIN_SHARE / 2:.1%} of the peak": iteration_work(train_share=TRAIN_SHARE / 2),
    f"training at {TRAIN_SHARE * 1.5:.1%} of the peak": iteration_work(train_share=TRAIN_SHARE * 1.5),
    "11,250 questions (6.25 %)": iteration_work(11_250),
    "180,000 questions (100 %)": iteration_work(180_000),
}


def _winners() -> str:
    rows = [f"| {name} | {_won(work, fastest)} | {_won(work, cheapest)} |" for name, work in VARIANTS.items()]
    return "\n".join(["| iteration | least time | fewest GPU-hours |", "|---|---|---|", *rows])


def _won(work: Work, best: Callable[[Work, int], Cost]) -> str:
    """Ranges of the sizes that a mode wins."""
    found = groupby(SIZES, key=lambda gpus: best(work, gpus).mode)
    return ", ".join(f"{mode.value} at {_range(list(sizes))}" for mode, sizes in found)


def _range(sizes: list[int]) -> str:
    return f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else str(sizes[0])


if __name__ == "__main__":
    page = report()
    print(page)
    PAGE.write_text(page)
