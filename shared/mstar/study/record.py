"""What a study keeps of one finished run: everything that its report needs, small enough to be mailed."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, ValidationError

from mstar.errors import InvalidInput
from mstar.marks import Marks
from mstar.results import IterationResult, RunResults, SweepResult
from mstar.stages.evaluate import EvaluateResult
from mstar.stages.generate import GenerateResult
from mstar.stages.label import LabelResult
from mstar.stages.score import ScoreResult
from mstar.stages.select import SelectResult
from mstar.stages.train import TrainResult
from mstar.step_names import BASE, WARMUP, iteration_of
from mstar.steps import StepResult
from mstar.study.plan import ArmName
from mstar.types import Frozen

FORMAT = 2
MAX_BYTES = 200_000
"""Of the file of one run."""


class Cost(Frozen):
    """What a run needs when nothing is shared with another; steps that were reused count as if they were done."""

    responses: int = 0
    """Responses and Monte-Carlo completions that were sampled, those of evaluations and sweeps included."""
    tokens: int = 0
    """Tokens of the sampled responses."""
    trained_tokens: int = 0
    """Tokens that training has seen, of policy and PRM."""
    updates: int = 0
    """Optimizer steps of warm-up, PRM and iterations together."""
    seconds: float = 0.0
    """Seconds that steps worked, added up. CPU-seconds where every process has one thread and a core to itself."""


class PolicyRecord(Frozen):
    """One policy of a run: base, warm-up, or that of an iteration. Shares in [0, 1]."""

    label: str
    tests: dict[str, float]
    """Greedy accuracy by test."""
    marks: dict[str, Marks]
    """By test: which questions were answered right."""
    pass_at_k: float
    reward_pass_at_2: float | None
    headroom: float
    sampled_accuracy: float
    best_of_n: float | None
    sound_among_correct: float | None


class StudyRun(Frozen):
    """One finished run of a study."""

    format: int = Field(default=FORMAT, ge=FORMAT, le=FORMAT)
    study: ArmName
    arm: ArmName
    seed: int = Field(ge=0, le=2**31 - 1)
    recipe: dict[str, Any]
    """The whole recipe, seed included: what a study's file must still say for this run to be its own."""
    code: str = ""
    """Begin of the hash of the code that ran it."""
    run: str
    """Id on the coordinator that ran it."""
    reused: int = 0
    """Steps that were taken over from another run of the study."""
    policies: tuple[PolicyRecord, ...]
    """In the order of the iterations, base and warm-up first."""
    iterations: tuple[IterationResult, ...]
    """Without their losses and their accuracy by task group."""
    sweeps: tuple[SweepResult, ...]
    cost: Cost

    @property
    def name(self) -> str:
        """Begin of the name of its file."""
        return f"{self.study}--{self.arm}--seed{self.seed}"

    def policy(self, label: str) -> PolicyRecord | None:
        """The policy of a label."""
        return next((one for one in self.policies if one.label == label), None)

    @property
    def final(self) -> PolicyRecord:
        """The policy after the last iteration."""
        return self.policies[-1]


def record_of(
    study: str,
    arm: str,
    results: RunResults,
    steps: Iterable[StepResult | None],
    *,
    recipe: Mapping[str, Any],
    code: str,
    reused: int,
) -> StudyRun:
    """The record of a finished run, from its numbers and the results of all its steps.

    `recipe`: as the study says it; the coordinator has completed the one that it ran.
    """
    left = [one for one in steps if one is not None]
    evaluated = {one.label: one for one in left if isinstance(one, EvaluateResult)}
    # base, warmup, it01, …: `final` takes the last.
    order = sorted(evaluated, key=lambda label: (iteration_of(label) or 0, label != BASE, label != WARMUP))
    return StudyRun(
        study=study,
        arm=arm,
        seed=results.recipe.seed,
        recipe=dict(recipe),
        code=code[:12],
        run=results.id,
        reused=reused,
        policies=tuple(_policy(evaluated[label]) for label in order),
        # Losses grow with the updates, and no table of a study reads them.
        iterations=tuple(one.model_copy(update={"losses": (), "by_task": {}}) for one in results.iterations),
        sweeps=results.sweeps,
        cost=cost_of(left),
    )


def cost_of(steps: Iterable[StepResult]) -> Cost:
    """What steps have cost, from their results."""
    made: dict[str, float] = dict.fromkeys(Cost.model_fields, 0)
    for one in steps:
        if isinstance(one, GenerateResult):
            made["responses"] += one.responses
            made["tokens"] += one.tokens
        elif isinstance(one, LabelResult):
            made["responses"] += one.completions
        elif isinstance(one, TrainResult):
            made["updates"] += one.steps
            made["trained_tokens"] += one.tokens
        if isinstance(one, GenerateResult | LabelResult | ScoreResult | SelectResult | TrainResult):
            made["seconds"] += one.seconds
    return Cost.model_validate(made | {"seconds": round(made["seconds"], 1)})


def parse_record(text: bytes, place: str) -> StudyRun:
    """A record from its file. Raises InvalidInput that names the place."""
    # Result files are mailed, and pydantic would build all of one before a limit of its own could be met.
    if len(text) > MAX_BYTES:
        raise InvalidInput(f"{place} has {len(text)} bytes, and a result file has at most {MAX_BYTES}", field="results")
    try:
        return StudyRun.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"{place} is not a result of a study: {where}: {first['msg']}", field="results") from None


def _policy(one: EvaluateResult) -> PolicyRecord:
    ood = {} if one.greedy.ood is None else {"test_ood": one.greedy.ood}
    return PolicyRecord(
        label=one.label,
        tests={"test_id": one.greedy.id, **ood, **one.greedy.sets},
        marks=one.marks,
        pass_at_k=one.pass_at_k,
        reward_pass_at_2=one.reward_pass_at_2,
        headroom=one.headroom,
        sampled_accuracy=one.sampled_accuracy,
        best_of_n=one.best_of_n,
        sound_among_correct=one.sound_among_correct,
    )
