"""Bodies of the PRM service: step scores and reranking."""

from pydantic import Field, model_validator

from mstar.api.images import ImageInput
from mstar.types import Frozen


class Candidate(Frozen):
    """One response to score: as text in the response layout, or already cut into steps."""

    text: str | None = Field(default=None, max_length=262_144)
    steps: tuple[str, ...] | None = Field(default=None, max_length=512)

    @model_validator(mode="after")
    def _one(self) -> "Candidate":
        if (self.text is None) == (self.steps is None):
            raise ValueError("give either text or steps")
        if self.steps is not None and (not self.steps or any(not s.strip() for s in self.steps)):
            raise ValueError("steps must be a non-empty list of non-empty strings")
        if self.text is not None and not self.text.strip():
            raise ValueError("text must not be empty")
        return self


class ScoreRequest(Frozen):
    """`POST /v1/score`: one question with its responses."""

    question: str = Field(min_length=1, max_length=32_768)
    image: ImageInput
    responses: tuple[Candidate, ...] = Field(min_length=1, max_length=256)
    model_version: str | None = None
    """Refuse with 409 when another version is loaded."""


class ScoredStep(Frozen):
    text: str
    score: float = Field(ge=0, le=1)
    """Probability of the good label at the end of the step."""


class ScoredResponse(Frozen):
    index: int
    score: float
    """Aggregate over the steps."""
    steps: tuple[ScoredStep, ...]


class ScoreReply(Frozen):
    model_version: str
    aggregation: str = "min"
    results: tuple[ScoredResponse, ...]
    """In the order of the request; for `/v1/rerank`, best first."""


class RerankRequest(ScoreRequest):
    """`POST /v1/rerank`: the same, sorted by score."""

    top_n: int | None = Field(default=None, ge=1)
