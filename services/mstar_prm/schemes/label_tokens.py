"""Two label tokens at the end of each step, as our own trainer makes PRMs.

A step's score is the probability of the good label against the bad one, the rest of the vocabulary left out.
"""

from itertools import pairwise
from typing import Any

from PIL.Image import Image
from torch import Tensor

from mstar_models.encoding import EncodedPrompt, PromptEncoder, encode_segments
from mstar_models.labels import label_token_ids
from mstar_models.trunk import label_logits
from mstar_prm.scorer import Segments


class LabelTokens:
    """A `Scheme`: the label is what the model would write next."""

    def __init__(self, prompts: PromptEncoder) -> None:
        """Raises InvalidInput for a vocabulary without a pair of labels."""
        self.prompts = prompts
        self._tokenizer = prompts.processor.tokenizer
        self.labels = label_token_ids(self._tokenizer)

    def prompt(self, question: str, image: Image) -> EncodedPrompt:
        return self.prompts.encode(question, image)

    def pieces(self, segments: Segments) -> list[tuple[int, ...]]:
        ids, ends = encode_segments(self._tokenizer, segments)
        return [tuple(ids[begin:end]) for begin, end in pairwise([0, *(end + 1 for end in ends)])]

    def good(self, model: Any, hidden: Tensor) -> Tensor:
        # Two rows of the head are enough: logits of the whole vocabulary are never made.
        return label_logits(model, hidden, self.labels).softmax(-1)[:, 0]
