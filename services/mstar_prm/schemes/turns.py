"""Steps as turns of a conversation that the model answers with `+` or `-`: VisualPRM (arXiv 2503.10291).

The user sends the question with the first step, then step after step. Every step before the one that is scored counts
as answered with the good label, as in the published code, so the turns of a response are one sequence.
"""

from collections.abc import Sequence
from typing import Any

from PIL.Image import Image
from torch import Tensor

from mstar import prm_schemes
from mstar.errors import InvalidInput
from mstar.layout import STEP_SEPARATOR
from mstar_models.encoding import EncodedPrompt
from mstar_models.trunk import label_logits
from mstar_prm.schemes.conversation import STEPS, Conversation, text_part
from mstar_prm.scorer import Texts

_NEXT = "@next@"
"""Stands for the second step while the template is rendered."""


class Turns:
    """A `Scheme`: the probability of the good answer where the assistant's turn begins."""

    def __init__(self, conversation: Conversation, scheme: prm_schemes.Turns) -> None:
        """Raises InvalidInput for a chat template whose turns depend on their place, or labels of several tokens."""
        self.tokenizer: Any = None
        self.step_separator = scheme.step_separator
        self._conversation = conversation
        self._asks, self._between = _glue(conversation, scheme.good)
        labels = [self._label(name) for name in (scheme.good, scheme.bad)]
        self._labels = labels[0], labels[1]

    def prompt(self, question: str, images: Sequence[Image], system: str = "") -> EncodedPrompt:
        return self._conversation.prompt(question, images, system)

    def pieces(self, segments: Texts, separator: str = STEP_SEPARATOR) -> list[tuple[int, ...]]:
        steps = [self._conversation.prompts.harmless(step) + self._asks for step in segments]
        return self._conversation.cut(
            [self._conversation.lead + steps[0], *(self._between + step for step in steps[1:])]
        )

    def good(self, model: Any, hidden: Tensor) -> Tensor:
        return label_logits(model, hidden, self._labels).softmax(-1)[:, 0]

    def _label(self, name: str) -> int:
        # As it stands in the conversation: some vocabularies have another token for it at the beginning of a text.
        _, ids = self._conversation.cut(["?" + self._asks, name])
        if len(ids) != 1:
            raise InvalidInput(
                f"the label {name!r} of the PRM's scheme is {len(ids)} tokens of its tokenizer, and must be one",
                field="model",
            )
        return ids[0]


def _glue(conversation: Conversation, good: str) -> tuple[str, str]:
    """What stands behind a step, up to where the assistant begins, and between that and the next step."""
    said = {"role": "assistant", "content": text_part(good)}
    more = {"role": "user", "content": text_part(_NEXT)}
    text = conversation.render([*conversation.messages(("?",)), said, more], asks=True)
    # Rendered as a whole and not turn by turn: a template may write the first turn otherwise than the next ones.
    middle, _, asks = text[text.rindex(STEPS) + len(STEPS) :].partition(_NEXT)
    # What follows the first step must be what follows the next ones, or `_asks` and `_between` fit only one of them.
    if not asks or not middle.startswith(asks):
        detail = "the model's chat template writes turns differently by their place, so steps cannot be sent as turns"
        raise InvalidInput(detail, field="model")
    return asks, middle.removeprefix(asks)
