"""The units of work of a run: their kinds, queues, parameters and results.

A step is what a worker leases, does and commits once. Its name is a path inside its run, such as `it02/select/0007`,
and its outputs are named after it, so doing it again is harmless. Parameters name other steps, never files.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from mstar.recipes import ExplorationMode, LabelRule, SelectionRecipe, TrainRecipe
from mstar.scoring import ScoreUse
from mstar.selection import Soundness
from mstar.types import Frozen, Sha256


class Queue(StrEnum):
    """Celery queues, one for each kind of resource."""

    CONTROL = "control"
    ROLLOUT = "rollout"
    SCORE = "score"
    TRAIN = "train"


TASK_NAMES = {queue: f"mstar.{queue.value}.advance" for queue in Queue}
"""Celery task of each queue. Its one argument is a step id."""


class PrepareParams(Frozen):
    """Bring data set and base model into the artefact store."""

    kind: Literal["prepare"] = "prepare"


class Draw(Frozen):
    """n samples at one temperature; None is the temperature that the controller chose last."""

    n: int = Field(ge=1)
    temperature: float | None = None


class GenerateParams(Frozen):
    """Sample responses for a range of questions and check their answers. Output: `rows.jsonl.gz` of RolloutRow."""

    kind: Literal["generate"] = "generate"
    purpose: str
    """Seeds are derived from it: warmup, prm, iteration, sweep or eval, with the iteration."""
    split: str
    start: int = Field(ge=0)
    """First place in the seeded order of the split; wraps around at its end."""
    count: int = Field(ge=1)
    draws: tuple[Draw, ...]
    with_reference: bool = False
    """Show the reference answer to the model (warm-up)."""
    weights: str
    """Step whose artefact is the policy checkpoint."""
    choose: str | None = None
    """Sweep step that set the temperature, if one has."""


class ScoreParams(Frozen):
    """Score the responses of one rollout shard with the PRM. Output: `rows.jsonl.gz` of ScoreRow."""

    kind: Literal["score"] = "score"
    rows: str
    prm: str
    """Step whose artefact is the PRM checkpoint."""
    use: ScoreUse
    k: int | None
    """How many a selection keeps (None: all above a threshold), or the least K that a ranking is cut at."""
    savings: bool
    """Leave out scores that cannot change the outcome."""


class LabelParams(Frozen):
    """Monte-Carlo step labels for one rollout shard. Output: `rows.jsonl.gz` of StepLabelRow."""

    kind: Literal["label"] = "label"
    rows: str
    weights: str
    completions: int
    temperature: float
    max_steps: int


class CollectParams(Frozen):
    """Join the label shards into the PRM training set. Output: `rows.jsonl.gz` of StepLabelRow."""

    kind: Literal["collect"] = "collect"
    rows: tuple[str, ...]
    label: LabelRule
    balance: bool


class SelectParams(Frozen):
    """Choose the responses of one rollout shard that train the next policy; where the choice hangs on it, ask the PRM.

    Output: `rows.jsonl.gz` of SelectedRow, and `scores.jsonl.gz` of ScoreRow where there is a PRM.
    """

    kind: Literal["select"] = "select"
    iteration: int
    """0 is the warm-up."""
    rows: str
    prm: str | None
    """Step whose artefact is the PRM checkpoint; None where the rule needs no score."""
    savings: bool
    """Leave out scores that cannot change the outcome."""
    rule: SelectionRecipe


class TrainParams(Frozen):
    """Train policy (`sft`) or PRM (`prm`). Output: a checkpoint artefact."""

    kind: Literal["train"] = "train"
    objective: Literal["sft", "prm"]
    iteration: int
    data: tuple[str, ...]
    """Steps whose rows are the examples, one step after the other."""
    parent: str
    """Step whose checkpoint gives the weights."""
    carry_optimizer: bool
    """Take optimizer moments, global step and schedule from the parent as well."""
    settings: TrainRecipe


class ChooseParams(Frozen):
    """Join the sweep's shards into a curve over T and choose. Result: ChooseResult."""

    kind: Literal["choose"] = "choose"
    iteration: int
    mode: ExplorationMode
    grid: tuple[float, ...]
    k: int
    current: float
    """Temperature to keep on a tie, unless `previous` chose another."""
    previous: str | None = None
    rows: tuple[str, ...]
    scores: tuple[str, ...]


class EvaluateParams(Frozen):
    """Join evaluation shards into one line of the results table. Result: EvaluateResult."""

    kind: Literal["evaluate"] = "evaluate"
    label: str
    """base, warmup, or itNN."""
    greedy: tuple[str, ...]
    sampled: tuple[str, ...]
    scores: tuple[str, ...]
    k: int


class PublishParams(Frozen):
    """Write what the run leaves behind: policy, PRM, CoT data set, PRM data set, cards, results and report."""

    kind: Literal["publish"] = "publish"
    policy: str
    prm: str | None
    selections: tuple[str, ...]
    collected: str | None
    evaluations: tuple[str, ...]


Params = Annotated[
    PrepareParams
    | GenerateParams
    | ScoreParams
    | LabelParams
    | CollectParams
    | SelectParams
    | TrainParams
    | ChooseParams
    | EvaluateParams
    | PublishParams,
    Field(discriminator="kind"),
]

QUEUE_OF = {
    "prepare": Queue.CONTROL,
    "generate": Queue.ROLLOUT,
    "score": Queue.SCORE,
    "label": Queue.ROLLOUT,
    "collect": Queue.CONTROL,
    "select": Queue.SCORE,
    "train": Queue.TRAIN,
    "choose": Queue.CONTROL,
    "evaluate": Queue.CONTROL,
    "publish": Queue.CONTROL,
}


class StepSpec(Frozen):
    """One node of a run's graph."""

    name: str
    params: Params
    needs: tuple[str, ...] = ()
    """Names of steps that must be committed before."""
    streams: tuple[str, ...] = ()
    """Names of steps whose outputs may still arrive while this one runs. A coordinator that does not stream takes them
    for needs."""

    @property
    def queue(self) -> Queue:
        """Where its worker waits. A choice that asks no PRM needs no device."""
        if isinstance(self.params, SelectParams) and self.params.prm is None:
            return Queue.CONTROL
        return QUEUE_OF[self.params.kind]


class ArtefactRef(Frozen):
    """An immutable artefact: its id (a path below the artefact root) and the SHA-256 of its manifest."""

    id: str
    sha256: Sha256

    @property
    def version(self) -> str:
        """How weights made from this artefact are named in every reply: `id@first-12-digits`."""
        return f"{self.id}@{self.sha256[:12]}"


class GenerateResult(Frozen):
    """Counts of one rollout shard."""

    kind: Literal["generate"] = "generate"
    questions: int
    responses: int
    correct: int
    tokens: int
    weight_version: str
    seconds: float


class ScoreResult(Frozen):
    kind: Literal["score"] = "score"
    responses: int
    scored: int
    prm_version: str
    seconds: float


class LabelResult(Frozen):
    kind: Literal["label"] = "label"
    solutions: int
    prefixes: int
    completions: int
    seconds: float


class CollectResult(Frozen):
    kind: Literal["collect"] = "collect"
    solutions: int
    kept: int
    steps: int
    mean_label: float


class SelectResult(Frozen):
    """What a shard's sampling gave, what was scored, and what was kept of it."""

    kind: Literal["select"] = "select"
    questions: int
    responses: int
    correct: int
    scored: int
    kept: int
    temperature: float
    weight_version: str
    solved_questions: int
    """Questions with at least one correct response."""
    soundness: Soundness
    prm_version: str | None
    seconds: float


class TrainResult(Frozen):
    kind: Literal["train"] = "train"
    examples: int
    steps: int
    global_step: int
    """Optimizer steps since the optimizer was created; grows over iterations when it is carried over."""
    first_loss: float
    last_loss: float
    losses: tuple[float, ...]
    """Mean loss per optimizer step, in nats per token."""
    learning_rate: float
    tokens: int
    seconds: float


class ChooseResult(Frozen):
    kind: Literal["choose"] = "choose"
    iteration: int
    curve: dict[str, float]
    """Metric for each temperature, written with one decimal or more."""
    chosen: float


class Accuracy(Frozen):
    """Greedy accuracy on both tests, in [0, 1]."""

    id: float
    ood: float | None
    by_task: dict[str, float]
    """On test-ID, by task group."""


class EvaluateResult(Frozen):
    kind: Literal["evaluate"] = "evaluate"
    label: str
    greedy: Accuracy
    pass_at_k: float
    k: int
    reward_pass_at_2: float | None
    sampled_accuracy: float
    headroom: float
    """Pass@K minus greedy accuracy, both on validation questions where greedy exists, else on test-ID."""
    best_of_n: float | None = None
    sound_among_correct: float | None = None


class DoneResult(Frozen):
    """Result of a step that has nothing to report but its artefact."""

    kind: Literal["done"] = "done"
    seconds: float = 0.0


StepResult = Annotated[
    GenerateResult
    | ScoreResult
    | LabelResult
    | CollectResult
    | SelectResult
    | TrainResult
    | ChooseResult
    | EvaluateResult
    | DoneResult,
    Field(discriminator="kind"),
]
