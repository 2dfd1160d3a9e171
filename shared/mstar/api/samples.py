"""Bodies of the coordinator's samples: what an iteration sampled, question by question."""

from mstar.types import CheckedResponse, Frozen, Question, StepScores


class ScoredSample(Frozen):
    """One response; `scores` is None where the PRM was not asked."""

    response: CheckedResponse
    scores: StepScores | None


class QuestionSamples(Frozen):
    """All responses to one question in one iteration."""

    place: int
    """Place of the question in the iteration; serves as cursor."""
    question: Question
    temperature: float
    weight_version: str
    prm_version: str | None
    responses: tuple[ScoredSample, ...]
