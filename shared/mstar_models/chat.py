"""Conversations as a model sees them: turns of text and images, and the one that every training prompt is.

The words of a prompt come from `mstar.prompts`; the chat template that turns turns into text belongs to the model's own
processor.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from mstar.image_marks import placed

Role = Literal["system", "user", "assistant"]
DAY = datetime(2026, 1, 1)
"""Every day, to a chat template: a run that goes on after midnight would else train on other prompts than it asked."""
CLOCK = "strftime_now"
"""What templates call for the date."""


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


def question_turns(question: str, system: str = "", images: int = 1) -> tuple[Turn, ...]:
    """The conversation of a question: the system turn if there is one, and a user turn with its images.

    `question` is the whole text of the user turn, which `mstar.prompts` builds. Its images stand at its
    marks, or first.
    """
    asked = Turn("user", placed(question, images))
    return (Turn("system", (system,)), asked) if system else (asked,)


def build_messages(turns: Iterable[Turn]) -> list[dict[str, Any]]:
    """Turns in the form that Hugging Face chat templates take."""
    return [{"role": turn.role, "content": [_part(part) for part in turn.parts]} for turn in turns]


def fixed_day(template: Any) -> dict[str, Any]:
    """What to render a template with, so that it writes the same on every day; it may be a dictionary of several."""
    # Others would take it for an option of the processor.
    return {CLOCK: DAY.strftime} if CLOCK in str(template) else {}


def _part(part: str | None) -> dict[str, str]:
    return {"type": "image"} if part is None else {"type": "text", "text": part}
