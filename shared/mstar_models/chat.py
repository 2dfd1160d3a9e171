"""The conversation every prompt is made of: one user turn with the image and the question.

In warm-up the reference answer stands below the question, and the model writes the reasoning that leads to it (paper,
section 3). The chat template that turns this into text belongs to the model's own processor.
"""

from typing import Any


def prompt_text(question: str, reference_answer: str | None = None) -> str:
    """Text of the user turn."""
    return question if reference_answer is None else f"{question}\n\nReference answer: {reference_answer}"


def build_messages(question: str, reference_answer: str | None = None) -> list[dict[str, Any]]:
    """Messages in the form that Hugging Face chat templates take."""
    content = [{"type": "image"}, {"type": "text", "text": prompt_text(question, reference_answer)}]
    return [{"role": "user", "content": content}]
