"""Bodies of the PRM service: step scores and reranking."""

from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WrapValidator,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler

from mstar.api.images import ImageInputs
from mstar.api.policy import MAX_PROMPT
from mstar.layout import Separator
from mstar.reward import Aggregate
from mstar.types import FIRST_BAD_ENDS, Frozen, SampledTokens, as_tuple

MAX_CHARACTERS = 2_000_000
"""Of all responses of one request: bounds what is tokenized for it."""
Step = Annotated[str, StringConstraints(max_length=65_536)]


class Candidate(Frozen):
    """One response to score: as text in the response layout, or already cut into steps."""

    text: str | None = Field(default=None, max_length=262_144)
    steps: Annotated[Annotated[tuple[Step, ...], FIRST_BAD_ENDS] | None, BeforeValidator(as_tuple)] = Field(
        default=None, max_length=512
    )
    tokens: SampledTokens | None = None
    """The steps as a policy sampled them. A PRM with the same vocabulary scores these ids, another one the text."""

    @model_validator(mode="after")
    def _one(self) -> "Candidate":
        if (self.text is None) == (self.steps is None):
            raise ValueError("give either text or steps")
        if self.steps is not None and (not self.steps or any(not s.strip() for s in self.steps)):
            raise ValueError("steps must be a non-empty list of non-empty strings")
        if self.text is not None and not self.text.strip():
            raise ValueError("text must not be empty")
        # Scores are read at the ends, so one that is missing would leave a step without a score.
        if self.tokens is not None and len(self.tokens.ends) != len(self.steps or ()):
            raise ValueError("tokens must come with steps, and with one end for each of them")
        return self

    @property
    def characters(self) -> int:
        """Length of all its text."""
        return len(self.text or "") + sum(map(len, self.steps or ()))


class RefusedCandidate(Candidate):
    """Stands for an item that is not a candidate, so that the others of its request are scored.

    Made by a service only.
    """

    field: str = ""
    detail: str = ""


def _kept_apart(value: Any, handle: ModelWrapValidatorHandler[Candidate], info: ValidationInfo) -> Candidate:
    """A bad item of a JSON body spoils itself only; in Python it is an error at once."""
    try:
        return handle(value)
    except ValidationError as error:
        # Code that builds a request has a bug if an item is bad; only a client's items may be many and mixed.
        if info.mode != "json":
            raise
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        message = str(first["msg"]).removeprefix("Value error, ")[:200]
        field = ".".join(map(str, first["loc"]))[:100]
        return RefusedCandidate.model_construct(field=field, detail=message)


class ScoreRequest(Frozen):
    """`POST /v1/score`: one question with its responses."""

    question: str = Field(min_length=1, max_length=MAX_PROMPT)
    """Text of the user turn that the responses answer, as it stood in the PRM's training."""
    images: ImageInputs = ()
    """Of the question, in its order: at the marks `<image>` of its text if it has one for each, else before it."""
    system: str = Field(default="", max_length=4096)
    """Text of the system turn; without one there is none."""
    responses: Annotated[tuple[Annotated[Candidate, WrapValidator(_kept_apart)], ...], FIRST_BAD_ENDS] = Field(
        min_length=1, max_length=256
    )
    model_version: str | None = Field(default=None, max_length=500)
    """Refuse with 409 when another version is loaded."""
    aggregate: Aggregate = Aggregate.MIN
    """How step scores become a response's score: `min` (the paper), `mean`, `product`, `last` or `length_min`."""
    step_separator: Separator | None = None
    """What separates the steps: `text` is cut at it, and it stands between steps where the PRM reads them. Left out, it
    is what the loaded PRM was trained with, else a blank line. A published PRM reads its own text between steps."""
    answer_block: bool = False
    """Whether the answer's own score counts among them; without, a response that is only an answer has the score 0."""

    @model_validator(mode="after")
    def _bounded(self) -> "ScoreRequest":
        # 256 responses of 262,144 characters each would be 67 MB of text to tokenize.
        characters = sum(candidate.characters for candidate in self.responses)
        if characters > MAX_CHARACTERS:
            raise ValueError(f"the responses have {characters} characters together; {MAX_CHARACTERS} fit in a request")
        return self


class ScoredStep(Frozen):
    """One step of a response with its score."""

    text: str
    score: float = Field(ge=0, le=1)
    """Probability of the good label at the end of the step."""


class ItemError(Frozen):
    """Why one response of a request was not scored."""

    code: str = "invalid-input"
    detail: str
    field: str


class ScoredResponse(Frozen):
    """One response with the scores of its steps, or why it has none."""

    index: int
    score: float
    """Aggregate over the steps; 0 for a response without a step, or one that was not scored."""
    steps: tuple[ScoredStep, ...]
    error: ItemError | None = None
    """Set for a response that could not be scored beside others that could."""


class ScoreReply(Frozen):
    """Answer to `ScoreRequest` and `RerankRequest`."""

    model_version: str
    aggregation: str = "min"
    """The `aggregate` of the request."""
    results: tuple[ScoredResponse, ...]
    """In the order of the request; for `/v1/rerank`, best first."""


class RerankRequest(ScoreRequest):
    """`POST /v1/rerank`: the same, sorted by score."""

    top_n: int | None = Field(default=None, ge=1)
