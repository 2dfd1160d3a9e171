"""What the scorer needs to know of a scheme: the tokens of prompt and steps, and a score from a hidden state.

Every scheme reads the score of a step at one token, so responses of a question are one packed tree whatever the scheme.
What this leaves out: forward passes, batches and caches (`hf_scorer`).
"""

from collections.abc import Sequence
from typing import Any, Protocol

from PIL.Image import Image
from torch import Tensor

from mstar.layout import STEP_SEPARATOR
from mstar_models.encoding import EncodedPrompt
from mstar_prm.scorer import Texts


class Scheme(Protocol):
    """One way to score steps, bound to the tokenizer of one model."""

    tokenizer: Any
    """The tokenizer whose ids are scored as a policy sampled them; None where every step is tokenized from its text."""
    step_separator: str
    """What separates the steps of a request that says nothing of it."""

    def prompt(self, question: str, images: Sequence[Image], system: str = "") -> EncodedPrompt:
        """All that stands before the first step.

        A published scheme has its own system turn, which may have a place for `system`.
        Raises InvalidInput for what the chat template does not take.
        """

    def pieces(self, segments: Texts, separator: str = STEP_SEPARATOR) -> list[tuple[int, ...]]:
        """Token ids of each step; the score of a step is read at the last of its own.

        `separator` stands between steps, but for a published scheme, which has a text of its own there.
        A step without ids ends within the same token as the one before it, and is scored there.
        """

    def good(self, model: Any, hidden: Tensor) -> Tensor:
        """Scores [P] in [0, 1] from the hidden states [P, D] at the ends of P pieces."""
