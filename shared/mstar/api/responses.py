"""Bodies of the coordinator's search through the responses that a run sampled: what to look for, and what is found."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from mstar.types import FinishReason, Frozen, Question

WORDS = 8
"""Words of `text` that count."""


class ResponseSort(StrEnum):
    """In which order questions come; equal ones stay in the order of the run."""

    PLACE = "place"
    """As they were sampled."""
    HARDEST = "hardest"
    """The least share of correct responses first."""
    EASIEST = "easiest"
    """The greatest share of correct responses first."""
    BEST = "best"
    """The highest score among a question's responses first."""
    LOWEST = "lowest"
    """The lowest score among a question's responses first."""
    FOOLED = "fooled"
    """The highest score of a wrong response first: where the reward model errs."""


class ResponseFilter(Frozen):
    """Which responses are meant. A question is found by any response that meets all of it."""

    iteration: int | None = Field(default=None, ge=0, le=1000)
    """Of this iteration; 0 is the warm-up. In an evaluation the place of a set, from 0. Unset: of all."""
    question: str | None = Field(default=None, max_length=200)
    """To the question with this id."""
    group: str | None = Field(default=None, max_length=200)
    """To questions of this task group."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Sampled at this temperature."""
    verdict: Literal["correct", "wrong"] | None = None
    """By the answer check."""
    kept: bool | None = None
    """Selected for training, or not."""
    min_score: float | None = Field(default=None, ge=0, le=1)
    """R_p is at least this; leaves out what the PRM was not asked about."""
    max_score: float | None = Field(default=None, ge=0, le=1)
    """R_p is at most this."""
    text: str | None = Field(default=None, max_length=200)
    """Words that all stand in the response, or all in the question; the first eight count. A last `*` stands for any
    ending."""

    @field_validator(
        *("iteration", "question", "group", "temperature", "verdict", "kept", "min_score", "max_score", "text"),
        mode="before",
    )
    @classmethod
    def _unset(cls, value: Any) -> Any:
        """A form sends the fields that nobody filled in as empty texts."""
        return None if value == "" else value

    @property
    def of_responses(self) -> bool:
        """Whether it tells the responses of one question apart."""
        return any(one is not None for one in (self.verdict, self.kept, self.min_score, self.max_score, self.text))


class ResponseQuery(ResponseFilter):
    """A filter, and which page of what it finds."""

    sort: ResponseSort = ResponseSort.PLACE
    """In which order questions come."""
    # The sort key of the page's last question and its place, which settles equal keys.
    after: Annotated[str, Field(max_length=64, pattern=r"^(-?[0-9.e-]+:[0-9]+)?$")] = ""
    """`last_id` of the page before, with the same filter and order."""
    limit: int = Field(default=10, ge=1, le=100)
    """Questions on the page, at most."""


class FoundResponse(Frozen):
    """One response with all that the run knows of it."""

    index: int
    """Place among the responses to its question."""
    text: str
    correct: bool
    extracted: str | None
    """The answer that was found in it."""
    reason: str
    """The rule of the answer check that decided."""
    finish_reason: FinishReason
    tokens: int
    """Sampled tokens; 0 where they are not known."""
    kept: bool
    why: str
    """Why it was kept for training, or why not."""
    steps: tuple[str, ...] = ()
    """The pieces that the PRM scored."""
    scores: tuple[float, ...] = ()
    """[steps], each in [0, 1]; empty where the PRM was not asked."""
    reward: float | None = None
    """R_p by the recipe's rule."""
    found: bool = True
    """Whether this response is among those that the filter means."""


class FoundQuestion(Frozen):
    """A question with all responses to it in one iteration, the best first."""

    cursor: str
    iteration: int
    place: int
    """Place of the question in its iteration."""
    question: Question
    temperature: float
    weight_version: str
    prm_version: str | None
    problem: str = ""
    """Why nothing was sampled, where it was not."""
    reference: str = ""
    """The right answer: of the question itself, or of a published benchmark's item; empty for an unlabelled one."""
    responses: tuple[FoundResponse, ...]


class Indexed(Frozen):
    """How much of a run can be searched by now."""

    shards: int
    """Shards of sampled responses that the run has."""
    indexed: int
    """Those of them that are in the index; the others follow within seconds to minutes."""
    problem: str | None = None
    """Why a shard is left out, where one cannot be read."""


class FoundPage(Frozen):
    """`GET /v1/runs/{id}/responses`."""

    data: tuple[FoundQuestion, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None
    index: Indexed
