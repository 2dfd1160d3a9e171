"""Generate: sample responses for one shard of questions and check their answers."""

from typing import Literal

from pydantic import Field

from mstar.outcomes import Outcomes
from mstar.steps import Queue, Stage, StepParams, StepResult
from mstar.types import Frozen


class Sampling(Frozen):
    """n samples at one temperature; None is the temperature that the controller chose last."""

    n: int = Field(ge=1)
    temperature: float | None = None


class GenerateParams(StepParams):
    """A range of questions and how to sample them. Output: `rows.jsonl.gz` of RolloutRow."""

    kind: Literal["generate"] = "generate"
    purpose: str
    """Seeds are derived from it: warmup, prm, iteration, sweep or eval, with the iteration."""
    split: str
    start: int = Field(ge=0)
    """First place in the seeded order of the split; wraps around at its end."""
    count: int = Field(ge=1)
    draws: tuple[Sampling, ...]
    with_reference: bool = False
    """Show the reference answer to the model (warm-up)."""
    weights: str
    """Step whose artefact is the policy checkpoint."""
    choose: str | None = None
    """Sweep step that set the temperature, if one has."""
    common_numbers: bool = False
    """All temperatures of a question draw with the same random numbers, so that their difference has less noise."""


class GenerateResult(StepResult):
    """Counts of one rollout shard."""

    kind: Literal["generate"] = "generate"
    questions: int
    responses: int
    correct: int
    tokens: int
    weight_version: str
    seconds: float
    outcomes: Outcomes = Outcomes()


GENERATE = Stage(GenerateParams, GenerateResult, Queue.ROLLOUT, sharded=True)
