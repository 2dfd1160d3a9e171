"""Select: choose the responses of one rollout shard that train the next policy (H of the paper, section 2)."""

from typing import Literal

from mstar.outcomes import Outcomes
from mstar.ranking_quality import Ranking
from mstar.selection import Soundness
from mstar.selection_rules import SelectionRecipe
from mstar.steps import Queue, Stage, StepParams, StepResult


class SelectParams(StepParams):
    """Which shard, and by which rule.

    Output: `rows.jsonl.gz` of SelectedRow, and `scores.jsonl.gz` of ScoreRow where there is a PRM.
    """

    kind: Literal["select"] = "select"
    iteration: int
    """0 is the warm-up."""
    rows: str
    prm: str | None
    """Step whose artefact is the PRM checkpoint; None where the rule needs no score."""
    rule: SelectionRecipe
    votes: bool = False
    """The questions have no answer: the responses vote on one, weighted by the PRM."""


class SelectResult(StepResult):
    """What a shard's sampling gave, what was scored, and what was kept of it."""

    kind: Literal["select"] = "select"
    questions: int
    responses: int
    correct: int
    """Of the labelled questions; a response that only agrees with a vote is not counted."""
    unlabelled: int = 0
    """Responses to questions without an answer."""
    scored: int
    refused: int = 0
    """Responses that were sent to the PRM and have no score, such as one that is longer than its context."""
    refused_of: tuple[str, ...] = ()
    """Ids of their questions, the first 20."""
    kept: int
    temperature: float
    weight_version: str
    solved_questions: int
    """Questions with at least one correct response."""
    soundness: Soundness
    ranking: Ranking = Ranking()
    prm_version: str | None
    seconds: float
    outcomes: Outcomes = Outcomes()


def _asks_no_prm(params: SelectParams) -> bool:
    return params.prm is None


SELECT = Stage(SelectParams, SelectResult, Queue.SCORE, shown=True, sharded=True, light=_asks_no_prm)
