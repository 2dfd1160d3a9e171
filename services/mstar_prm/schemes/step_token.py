"""A head with two classes, read at a token after each step: Qwen2.5-Math-PRM (arXiv 2501.07301) and its like."""

from typing import Any

from torch import Tensor, nn

from mstar import prm_schemes
from mstar_prm.schemes.conversation import Conversation
from mstar_prm.schemes.tagged import TaggedSteps


class StepToken(TaggedSteps):
    """A `Scheme`: the probability of the class that means a correct step."""

    CLASSES = 2

    def __init__(self, conversation: Conversation, scheme: prm_schemes.StepToken, head: nn.Module) -> None:
        """`head`: from hidden states [P, D] to logits [P, 2]."""
        super().__init__(conversation, scheme)
        self._good_class = scheme.good_class
        self._head = head

    def good(self, model: Any, hidden: Tensor) -> Tensor:
        # In float32: a half has three digits, and responses of one question differ in the fourth.
        logits: Tensor = self._head.to(hidden.device)(hidden.float())
        return logits.softmax(-1)[:, self._good_class]
