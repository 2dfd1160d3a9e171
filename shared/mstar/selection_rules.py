"""The rules that choose among a question's correct responses (paper, table 2), each declared once in `RULES`.

A new rule is a mode, a function and an entry of the table: recipe checks, the step graph and the workers read from it
whether the rule asks the PRM and whose scores it needs. Applying a rule to rollout rows is `selection`'s part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from mstar.types import Frozen

MAX_SAMPLES = 1024
"""Responses to one question that a run may sample, keep or compare."""


class SelectionMode(StrEnum):
    """Which correct responses train the next policy."""

    ALL = "all"
    RANDOM = "random"
    TOP = "top"
    THRESHOLD = "threshold"
    SOUND = "sound"
    ANSWERS = "answers"


class SelectionRecipe(Frozen):
    """H of the paper: Top-2 by default."""

    mode: SelectionMode = SelectionMode.TOP
    """Which correct responses train: the `top` k by the PRM, `all`, k at `random`, those above a `threshold`, or
    `sound`: those that reason like the question's known chain, an upper bound rather than a method. `answers` trains on
    the reference answer and on no response, which is plain SFT."""
    k: int = Field(default=2, ge=1, le=MAX_SAMPLES)
    """Kept per question, for `top`, `random` and `sound`."""
    alpha: float = Field(default=0.2, ge=0, le=1)
    """For `threshold`: responses with a higher R_p are kept. Ours; the paper does not give it."""
    min_steps: int = Field(default=1, ge=0, le=512)
    """Fewest steps of a response that is kept, in every mode. A paragraph that only states the answer is not a step.
    Ours: in the paper every response is a chain, since warm-up has taught the format; 0 keeps bare answers as well."""

    @property
    def rule(self) -> "SelectionRule":
        """The declared rule of this mode."""
        return RULES[self.mode]

    def scored_above(self) -> int | None:
        """Correct responses that a question must exceed before the rule looks at scores; None: it always does."""
        return self.k if self.rule.keeps_k else None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A correct response that differs from all before it."""

    index: int
    """Place among the n responses of its question."""
    text: str
    """Canonical text."""
    reward: float | None
    """R_p; None where it was not asked for."""
    step_scores: tuple[float, ...]
    draw: int
    """Seeded number that orders draws and ties."""
    sound: bool
    """Whether it reasons as the question's known chain."""

    @property
    def score(self) -> float:
        """R_p of a candidate that is known to have one."""
        assert self.reward is not None, f"candidate {self.index} has no score"
        return self.reward


def _at_most_k(recipe: SelectionRecipe, responses: int) -> int:
    return min(recipe.k, responses)


def _at_most_all(recipe: SelectionRecipe, responses: int) -> int:
    return responses


@dataclass(frozen=True)
class SelectionRule:
    """One way to choose."""

    choose: Callable[[Sequence[Candidate], SelectionRecipe], Sequence[Candidate]]
    """Gets the candidates in drawn order, which settles ties."""
    reason: Callable[[SelectionRecipe, int], str]
    """Why a response was kept, from the recipe and the number of candidates; it is written to the data set."""
    most_kept: Callable[[SelectionRecipe, int], int] = _at_most_k
    """Most rows that a question with this many responses can add, for plans."""
    needs_prm: bool = False
    """Whether it compares rewards, so that the run needs a PRM."""
    from_reference: bool = False
    """Whether it keeps the reference answer, whatever was sampled."""
    keeps_k: bool = False
    """Whether it keeps k however low they score. A question with at most k correct responses then needs no score."""


def _all(candidates: Sequence[Candidate], recipe: SelectionRecipe) -> Sequence[Candidate]:
    return candidates


def _random(candidates: Sequence[Candidate], recipe: SelectionRecipe) -> Sequence[Candidate]:
    # They come in drawn order, so the first k are a random k.
    return candidates[: recipe.k]


def _top(candidates: Sequence[Candidate], recipe: SelectionRecipe) -> Sequence[Candidate]:
    # Before any score is touched: where all are kept no score was asked for.
    if len(candidates) <= recipe.k:
        return candidates
    # A stable sort: equal rewards stay in drawn order.
    return sorted(candidates, key=lambda candidate: -candidate.score)[: recipe.k]


def _threshold(candidates: Sequence[Candidate], recipe: SelectionRecipe) -> Sequence[Candidate]:
    return [candidate for candidate in candidates if candidate.score > recipe.alpha]


def _sound(candidates: Sequence[Candidate], recipe: SelectionRecipe) -> Sequence[Candidate]:
    # Also k at most, so that this bound differs from `top` and `random` in the choice and not in the amount.
    return [candidate for candidate in candidates if candidate.sound][: recipe.k]


def _none(candidates: Sequence[Candidate], recipe: SelectionRecipe) -> Sequence[Candidate]:
    return ()


def _first_k(recipe: SelectionRecipe, correct: int) -> str:
    return f"{recipe.mode.value}-{recipe.k} of {correct} correct"


RULES = {
    SelectionMode.ALL: SelectionRule(_all, lambda _, correct: f"all of {correct} correct", _at_most_all),
    SelectionMode.RANDOM: SelectionRule(_random, _first_k, keeps_k=True),
    SelectionMode.TOP: SelectionRule(_top, _first_k, needs_prm=True, keeps_k=True),
    SelectionMode.THRESHOLD: SelectionRule(
        _threshold,
        lambda recipe, correct: f"reward above {recipe.alpha:g}, of {correct} correct",
        _at_most_all,
        needs_prm=True,
    ),
    SelectionMode.ANSWERS: SelectionRule(
        _none, lambda _, correct: "the reference answer", lambda recipe, responses: 1, from_reference=True
    ),
    SelectionMode.SOUND: SelectionRule(_sound, lambda recipe, correct: f"sound, {recipe.k} of {correct} correct"),
}
