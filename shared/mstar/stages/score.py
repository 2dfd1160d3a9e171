"""Score: the PRM's step scores for the responses of one rollout shard, which a metric ranks."""

from typing import Literal

from pydantic import Field

from mstar.steps import Queue, Stage, StepParams, StepResult


class ScoreParams(StepParams):
    """Which shard, and how its ranking is used. Output: `rows.jsonl.gz` of ScoreRow."""

    kind: Literal["score"] = "score"
    rows: str
    prm: str
    """Step whose artefact is the PRM checkpoint."""
    k: int = Field(ge=1)
    """The least K that the ranking is cut at."""


class ScoreResult(StepResult):
    """Counts of one shard."""

    kind: Literal["score"] = "score"
    responses: int
    scored: int
    refused: int = 0
    """Responses that the PRM does not take, such as one that is longer than its context; they have no score."""
    refused_of: tuple[str, ...] = ()
    """Ids of their questions, the first 20."""
    prm_version: str
    seconds: float


SCORE = Stage(ScoreParams, ScoreResult, Queue.SCORE, shown=True, sharded=True)
