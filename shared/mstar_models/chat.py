"""Conversations as a model sees them: turns of text and images, and the one turn that every training prompt is.

In warm-up the reference answer stands below the question, and the model writes the reasoning that leads to it (paper,
section 3). The chat template that turns turns into text belongs to the model's own processor.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says."""

    role: Role
    parts: tuple[str | None, ...]
    """Texts in their order; None stands where the next image is."""

    @property
    def images(self) -> int:
        """How many images it shows."""
        return self.parts.count(None)


def prompt_text(question: str, reference_answer: str | None = None) -> str:
    """Text of the user turn."""
    return question if reference_answer is None else f"{question}\n\nReference answer: {reference_answer}"


def question_turns(question: str, reference_answer: str | None = None) -> tuple[Turn, ...]:
    """The conversation of a question: one user turn with the image first."""
    return (Turn("user", (None, prompt_text(question, reference_answer))),)


def build_messages(turns: Iterable[Turn]) -> list[dict[str, Any]]:
    """Turns in the form that Hugging Face chat templates take."""
    return [{"role": turn.role, "content": [_part(part) for part in turn.parts]} for turn in turns]


def _part(part: str | None) -> dict[str, str]:
    return {"type": "image"} if part is None else {"type": "text", "text": part}
