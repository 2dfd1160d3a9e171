"""Values that every part of M-STaR shares: questions, responses, scores and selected rows.

All models are frozen and refuse unknown keys, so one value can be used by the pure rules, written to an artefact and
sent over HTTP without conversion. There is no behaviour here beyond validation, and no I/O.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema

from mstar.layout import STEP_SEPARATOR, is_blank_line

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""Lower-case hexadecimal SHA-256 digest of the encoded bytes."""


def as_tuple(value: Any) -> Any:
    """A list as the tuple that strict validation wants, where a validator in between hides that it came from JSON."""
    return tuple(value) if isinstance(value, list) else value


MAX_IMAGES = 8
"""Of one question. Their pixels together are bounded where they are decoded."""
Images = Annotated[tuple[Sha256, ...], BeforeValidator(as_tuple), Field(max_length=MAX_IMAGES)]


def with_images(value: Any) -> Any:
    """A row as it is now: those of runs that began before a question could have several images have one as `image`."""
    if isinstance(value, dict) and "image" in value and "images" not in value:
        rest = {name: own for name, own in value.items() if name != "image"}
        return {**rest, "images": (value["image"],)}
    return value


class Frozen(BaseModel):
    """Base of every shared value: immutable, and unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True)
class FirstBadEnds:
    """Marks a list whose check ends at its first bad item: a million of them would be a million errors.

    Pydantic's own mark of this kind cannot stand in a union.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: Any = handler(source)
        return cast(CoreSchema, {**schema, "fail_fast": True})


FIRST_BAD_ENDS = FirstBadEnds()


class AnswerType(StrEnum):
    """How a reference answer is compared with a response (MathVista's types, and maths)."""

    CHOICE = "choice"
    INTEGER = "integer"
    FLOAT = "float"
    LIST = "list"
    TEXT = "text"
    MATH = "math"


class Answer(Frozen):
    """A reference answer a* and the rule by which it is compared."""

    type: AnswerType
    value: str = Field(min_length=1, max_length=4096)
    """The bare answer as it should stand after the heading; for a choice, the option letter."""
    precision: int | None = Field(default=None, ge=0, le=12)
    """Decimals that count, for `float` (MathVista's `precision`)."""
    choices: tuple[str, ...] = ()
    """Option texts in the order (A), (B) …; only for `choice`."""
    unit: str | None = None
    """Unit that a response may append to a number; any other unit is wrong."""
    alternatives: tuple[str, ...] = ()
    """Other references, each of which is right as well, as DocVQA has several; not for `choice`."""


class Question(Frozen):
    """One triple (image o, question x, reference answer a*) of the paper's section 2."""

    id: str = Field(min_length=1, max_length=200)
    text: str = Field(min_length=1, max_length=32_768)
    """Where it has a mark for each image (`mstar.image_marks`), the images stand there; else they come first."""
    images: Images = ()
    """Content hashes of the image files in their order, none for words alone; the bytes lie in the image store."""
    answer: Answer | None = None
    """None for an unlabelled question."""
    group: str = "ALL"
    """Task group for reports, such as FQA, GPS, MWP, TQA or VQA."""
    split: str = "train"
    source: str = ""
    gold_steps: tuple[str, ...] = ()
    """A known sound chain, where the data set has one: measures soundness, trains nothing but the arm `sound`."""

    _earlier = model_validator(mode="before")(with_images)


class FinishReason(StrEnum):
    """Why sampling of a response ended."""

    STOP = "stop"
    LENGTH = "length"


class Response(Frozen):
    """One sampled chain of thought with its final answer."""

    text: str
    token_ids: tuple[int, ...] = ()
    """As they were sampled, the end of the turn included where it was."""
    step_ends: tuple[int, ...] = ()
    """For each of its `scored_segments`, how many tokens lie up to its end; two that end within one token end together.
    Empty where the tokens are not known, and for the continuation of a prefix."""
    logprob: float = 0.0
    """Sum of the sampled tokens' log-probabilities at the sampling temperature, in nats."""
    finish_reason: FinishReason = FinishReason.STOP


class SampledTokens(Frozen):
    """A response as it was sampled: no text is tokenized again, so training and scoring see what the policy said."""

    ids: Annotated[tuple[int, ...], FIRST_BAD_ENDS, BeforeValidator(as_tuple)] = Field(min_length=1, max_length=65_536)
    """The end of the turn included where it was sampled."""
    ends: Annotated[tuple[int, ...], FIRST_BAD_ENDS, BeforeValidator(as_tuple)] = Field(min_length=1, max_length=65_536)
    """For each segment, how many ids lie up to its end."""
    vocabulary: str = Field(max_length=64)
    """Digest of the vocabulary. A model with another one gets the text."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        # Ends index the ids that the PRM reads scores at, so one beyond them would point into another response.
        if list(self.ends) != sorted(self.ends) or self.ends[0] < 1 or self.ends[-1] > len(self.ids):
            raise ValueError("ends must rise from 1 to the number of ids at most")
        if min(self.ids) < 0:
            raise ValueError("a token id is negative")
        return self

    @classmethod
    def of(cls, response: "Response", vocabulary: str) -> "SampledTokens | None":
        """Those of a sampled response; None where its tokens or the ends of its steps are not known."""
        if not (response.token_ids and response.step_ends and vocabulary):
            return None
        return cls(ids=response.token_ids, ends=response.step_ends, vocabulary=vocabulary)


class Verdict(Frozen):
    """What the answer check said of one response, with enough to show why."""

    correct: bool
    extracted: str | None = None
    """The bare answer found after the heading; None when there is no heading."""
    reason: str = ""
    """Machine word for the rule that decided, such as `integer-equal` or `no-answer-heading`."""


class CheckedResponse(Frozen):
    """A response and its verdict, with its place among the n of its question."""

    index: int = Field(ge=0)
    response: Response
    verdict: Verdict


class RolloutRow(Frozen):
    """All n responses of one question at one temperature from one weight version: a line of a rollout shard."""

    question: Question
    temperature: float
    weight_version: str
    responses: tuple[CheckedResponse, ...]
    vocabulary: str = ""
    """Digest of the vocabulary that the token ids belong to."""
    problem: str = ""
    """Why nothing was sampled, where `responses` is empty: such as a prompt that is longer than the context."""
    step_separator: str = Field(default=STEP_SEPARATOR, exclude_if=is_blank_line)
    """What separates the steps of the responses, for everything that cuts them. A blank line is not written, so that
    an older run which repeats a step with this version leaves the same bytes."""
    reference: str = Field(default="", exclude_if=lambda text: not text)
    """The right answer of a published benchmark's item, to be shown: its question has none, so that nothing trains."""


SCORE_DECIMALS = 4
"""Decimals of a step score that are kept. The last bits of a score depend on what the PRM computes beside it: two
equal runs differ by up to 4e-7. Rounding removes that, but for the rare score on a boundary; ties follow the seed."""


class StepScores(Frozen):
    """Step scores of one response, each in [0, 1]; the answer block has one too. `reward` makes R_p of them.

    Scores are rounded to SCORE_DECIMALS, so whatever is chosen, ranked or stored rests on rounded scores.
    """

    index: int = Field(ge=0)
    steps: tuple[str, ...]
    scores: tuple[float, ...]

    @field_validator("scores")
    @classmethod
    def _rounded(cls, scores: tuple[float, ...]) -> tuple[float, ...]:
        # At the door, so that no code path can choose by digits that another run would not have.
        return tuple(round(score, SCORE_DECIMALS) for score in scores)


class ScoreRow(Frozen):
    """Step scores of the responses of one question: a line of a score shard, in step with its rollout row."""

    question_id: str
    prm_version: str
    responses: tuple[StepScores, ...]


class SelectedRow(Frozen):
    """One response kept for training, and where it came from: a line of the CoT data set."""

    question: Question
    response: str
    iteration: int
    index: int
    temperature: float
    weight_version: str
    prm_version: str | None = None
    step_scores: tuple[float, ...] = ()
    reward: float | None = None
    reason: str
    """Why the row was kept, such as `top-2 of 5 correct`."""
    tokens: SampledTokens | None = None
    """What was sampled, which is trained on; None for a response that came as text."""


class StepLabelRow(Frozen):
    """One solution with a Monte-Carlo label after every step: a line of the PRM training set.

    Column names follow TRL's "stepwise supervision" format, plus where the labels came from.
    """

    id: str
    prompt: str
    """Text of the user turn, as the model saw it."""
    completions: tuple[str, ...]
    labels: tuple[float, ...]
    """Share of completions that reached a* from the end of each step, in [0, 1]; or what the data set says of it."""
    images: Images = ()
    """As in `Question`."""
    answer: Answer | None
    """None where the data set labels steps and gives no answer."""
    mc_successes: tuple[int, ...]
    mc_rollouts: tuple[int, ...]
    """Both are empty for labels that the data set brought."""
    weight_version: str
    """Empty for a solution that the data set brought."""
    system: str = ""
    """Text of the system turn; without one there is none."""
    tokens: SampledTokens | None = None
    """What was sampled, with an end for every label; None for a solution that came as text."""

    _earlier = model_validator(mode="before")(with_images)
