"""A head with one number, read at a tag after each step and put through a sigmoid: URSA-RM (arXiv 2501.04686)."""

from typing import Any

from torch import Tensor, nn

from mstar import prm_schemes
from mstar_prm.schemes.conversation import Conversation
from mstar_prm.schemes.tagged import TaggedSteps


class ValueHead(TaggedSteps):
    """A `Scheme`: the sigmoid of the head's number."""

    CLASSES = 1

    def __init__(self, conversation: Conversation, scheme: prm_schemes.ValueHead, head: nn.Module) -> None:
        """`head`: from hidden states [P, D] to numbers [P, 1]."""
        super().__init__(conversation, scheme)
        self._head = head

    def good(self, model: Any, hidden: Tensor) -> Tensor:
        # In float32, as the label rows of the other schemes, so that scores are as fine.
        values: Tensor = self._head.to(hidden.device)(hidden.float())
        return values[:, 0].sigmoid()
