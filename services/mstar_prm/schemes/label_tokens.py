"""Two label tokens at the end of each step: as our own trainer makes PRMs, and after a tag, as Math-Shepherd has it.

A step's score is the probability of the good label against the bad one, the rest of the vocabulary left out.
"""

from collections.abc import Sequence
from typing import Any

from PIL.Image import Image
from torch import Tensor

from mstar import prm_schemes
from mstar.errors import InvalidInput
from mstar.layout import STEP_SEPARATOR
from mstar.prm_schemes import OWN_LABELS
from mstar_models.encoding import EncodedPrompt, PromptEncoder, encode_segments
from mstar_models.spelling import cut
from mstar_models.trunk import label_logits
from mstar_prm.schemes.conversation import Conversation
from mstar_prm.schemes.tagged import TaggedSteps
from mstar_prm.scorer import Texts


class LabelTokens:
    """A `Scheme`: the label is what the model would write next after the step and its separator."""

    def __init__(
        self, prompts: PromptEncoder, names: tuple[str, str] = OWN_LABELS, step_separator: str = STEP_SEPARATOR
    ) -> None:
        """`names`: the good and the bad label. Raises InvalidInput for one that is not in the vocabulary."""
        self.prompts = prompts
        self.step_separator = step_separator
        self.tokenizer = prompts.processor.tokenizer
        self.labels = known_ids(self.tokenizer, names)

    def prompt(self, question: str, images: Sequence[Image], system: str = "") -> EncodedPrompt:
        return self.prompts.encode(question, images, system)

    def pieces(self, segments: Texts, separator: str = STEP_SEPARATOR) -> list[tuple[int, ...]]:
        return cut(*encode_segments(self.tokenizer, segments, separator))

    def good(self, model: Any, hidden: Tensor) -> Tensor:
        # Two rows of the head are enough: logits of the whole vocabulary are never made.
        return label_logits(model, hidden, self.labels).softmax(-1)[:, 0]


class TaggedLabels(TaggedSteps):
    """A `Scheme`: the label is what the model would write after a tag at the step's end.

    Math-Shepherd (arXiv 2312.08935) trains the label in the tag's own place, so its logits at the tag are read.
    """

    def __init__(self, conversation: Conversation, scheme: prm_schemes.LabelTokens) -> None:
        """Raises InvalidInput for a label that is not a single token."""
        super().__init__(conversation, scheme)
        self._labels = spelled_ids(conversation.tokenizer, (scheme.good, scheme.bad))

    def good(self, model: Any, hidden: Tensor) -> Tensor:
        return label_logits(model, hidden, self._labels).softmax(-1)[:, 0]


def known_ids(tokenizer: Any, names: tuple[str, str]) -> tuple[int, int]:
    """Ids of labels by their names in the vocabulary. Raises InvalidInput for one that is not there."""
    vocabulary = tokenizer.get_vocab()
    for name in names:
        if name not in vocabulary:
            detail = f"the label {name!r} of the PRM's scheme is not a token of its tokenizer: correct prm_scheme.json"
            raise InvalidInput(detail, field="model")
    return vocabulary[names[0]], vocabulary[names[1]]


def spelled_ids(tokenizer: Any, names: tuple[str, str]) -> tuple[int, int]:
    """Ids of labels by their spelling as a text of their own, which Llama's vocabularies begin with a space.

    Raises InvalidInput for one that is not a single token.
    """
    found = []
    for name in names:
        ids = tokenizer(name, add_special_tokens=False)["input_ids"]
        if len(ids) != 1:
            detail = f"the label {name!r} of the PRM's scheme is {len(ids)} tokens of its tokenizer, and must be one"
            raise InvalidInput(detail, field="model")
        found.append(ids[0])
    return found[0], found[1]
