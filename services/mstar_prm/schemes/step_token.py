"""A head with two classes, read at a token behind each step: Qwen2.5-Math-PRM (arXiv 2501.07301) and its like."""

from collections.abc import Sequence
from typing import Any

from PIL.Image import Image
from torch import Tensor, nn

from mstar import prm_schemes
from mstar.layout import STEP_SEPARATOR
from mstar_models.encoding import EncodedPrompt
from mstar_prm.schemes.conversation import Conversation
from mstar_prm.scorer import Texts


class StepToken:
    """A `Scheme`: the probability of the class that means a correct step."""

    CLASSES = 2

    def __init__(self, conversation: Conversation, scheme: prm_schemes.StepToken, head: nn.Module) -> None:
        """`head`: from hidden states [P, D] to logits [P, 2]."""
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
        # In float32: a half has three digits, and responses of one question differ in the fourth.
        logits: Tensor = self._head.to(hidden.device)(hidden.float())
        return logits.softmax(-1)[:, self._scheme.good_class]
