"""Steps with a tag after each, at which a score is read: the half that schemes with a tag share."""

from collections.abc import Sequence
from typing import Any

from PIL.Image import Image

from mstar import prm_schemes
from mstar.layout import STEP_SEPARATOR
from mstar_models.encoding import EncodedPrompt
from mstar_prm.schemes.conversation import Conversation
from mstar_prm.scorer import Texts


class TaggedSteps:
    """Prompt and pieces of a `Scheme`; what a score is, `good`, is the subclass's to say."""

    def __init__(
        self,
        conversation: Conversation,
        scheme: prm_schemes.LabelTokens | prm_schemes.StepToken | prm_schemes.ValueHead,
    ) -> None:
        assert scheme.step_tag is not None, "labels without a tag are `LabelTokens`"
        self.tokenizer: Any = None
        self.step_separator = scheme.step_separator
        self._conversation = conversation
        self._tag, self._separator = scheme.step_tag, scheme.separator

    def prompt(self, question: str, images: Sequence[Image], system: str = "") -> EncodedPrompt:
        return self._conversation.prompt(question, images, system)

    def pieces(self, segments: Texts, separator: str = STEP_SEPARATOR) -> list[tuple[int, ...]]:
        return self._conversation.tagged(segments, self._tag, self._separator)
