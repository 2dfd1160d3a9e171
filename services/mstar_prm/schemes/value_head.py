"""A head with one number, read at a tag behind each step and put through a sigmoid: URSA-RM (arXiv 2501.04686)."""

from collections.abc import Sequence
from typing import Any

from PIL.Image import Image
from torch import Tensor, nn

from mstar import prm_schemes
from mstar.layout import STEP_SEPARATOR
from mstar_models.encoding import EncodedPrompt
from mstar_prm.schemes.conversation import Conversation
from mstar_prm.scorer import Texts


class ValueHead:
    """A `Scheme`: the sigmoid of the head's number."""

    CLASSES = 1

    def __init__(self, conversation: Conversation, scheme: prm_schemes.ValueHead, head: nn.Module) -> None:
        """`head`: from hidden states [P, D] to numbers [P, 1]."""
        self.tokenizer: Any = None
        self.step_separator = scheme.step_separator
        self._conversation = conversation
        self._scheme = scheme
        self._head = head

    def prompt(self, question: str, images: Sequence[Image], system: str = "") -> EncodedPrompt:
        return self._conversation.prompt(question, images, system)

    def pieces(self, segments: Texts, separator: str = STEP_SEPARATOR) -> list[tuple[int, ...]]:
        return self._conversation.tagged(segments, self._scheme.step_tag, self._scheme.separator)

    def good(self, model: Any, hidden: Tensor) -> Tensor:
        # In float32, as the label rows of the other schemes, so that scores are as fine.
        values: Tensor = self._head.to(hidden.device)(hidden.float())
        return values[:, 0].sigmoid()
