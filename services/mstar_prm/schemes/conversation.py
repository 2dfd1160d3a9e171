"""Prompt and steps of schemes that mark steps by text: what the chat template writes, cut at the places that are read.

The text is tokenized as a whole, as the model's own code does it, and then cut by character offsets. So a tag is found
where it was put, never where a step happens to spell it, and a tokenizer that treats the beginning of a text apart sees
no beginning in the middle.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any

from jinja2 import TemplateError
from PIL.Image import Image

from mstar.errors import InvalidInput
from mstar.image_marks import placed
from mstar.prm_schemes import LabelTokens, StepToken, Turns, ValueHead
from mstar_models.encoding import EncodedPrompt, PromptEncoder
from mstar_prm.scorer import Texts

Message = dict[str, Any]
Parts = tuple[str | None, ...]
"""Of a question: texts, and None where the next image is."""
STEPS = "@steps@"
"""Stands for the steps while the template is rendered. What a question spells comes before it."""
_ANY = "?"
"""Stands for a question where only the text after it matters."""


class Conversation:
    """The chat of one scheme with one model, up to its first step."""

    def __init__(
        self, prompts: PromptEncoder, scheme: LabelTokens | StepToken | ValueHead | Turns, *, images: bool
    ) -> None:
        """`images`: whether the model sees any. Raises InvalidInput for a template that does not keep the steps."""
        self.prompts = prompts
        self.tokenizer = prompts.processor.tokenizer
        self._scheme = scheme
        self._images = images
        opening = self._opening((_ANY,), "")
        self._context = opening.rstrip(" ")
        # Words carry the space before them in most vocabularies, so it belongs to the first step.
        self.lead = opening[len(self._context) :]

    def prompt(self, question: str, images: Sequence[Image], system: str = "") -> EncodedPrompt:
        """All before the first step; a model without a vision tower does not see the images.

        `system` is seen where the scheme has a place for it, and by no PRM that was trained with a text of its own.
        """
        parts = tuple(part if part is None else self.prompts.harmless(part) for part in placed(question, len(images)))
        text = self._opening(parts, self.prompts.harmless(system)).rstrip(" ")
        return self.prompts.encode_rendered(text, images if self._images else [])

    def tagged(self, segments: Texts, tag: str, separator: str) -> list[tuple[int, ...]]:
        """Token ids of each step with the tag after it, at whose last token its score is read."""
        # Harmless, since the whole text is tokenized with special tokens recognised: a step may spell one.
        steps = [self.prompts.harmless(step) + tag for step in segments]
        return self.cut([self.lead + steps[0], *(separator + step for step in steps[1:])])

    def cut(self, parts: Sequence[str]) -> list[tuple[int, ...]]:
        """Token ids of consecutive parts of the text after the opening. A token belongs to where it begins."""
        text = self._context + "".join(parts)
        coded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        # Begins and not ends: all bytes of a character that is split over tokens have its begin.
        begins = [begin for begin, _ in coded["offset_mapping"]]
        ends = accumulate(map(len, parts), initial=len(self._context))
        places = [bisect_left(begins, end) for end in ends]
        return [tuple(coded["input_ids"][low:high]) for low, high in pairwise(places)]

    def render(self, messages: Sequence[Message], *, asks: bool) -> str:
        """Text of messages; `asks`: up to where the assistant begins. Raises InvalidInput."""
        try:
            made = self.prompts.processor.apply_chat_template(list(messages), add_generation_prompt=asks)
        except TemplateError as error:
            raise InvalidInput(f"the model's chat template does not take its scheme's messages: {error}") from error
        return str(made)

    def messages(self, question: Parts, system: str = "") -> list[Message]:
        """System turn, if the scheme has one, and the user's with the question."""
        own = (self._scheme.system or "").replace("{system}", system)
        # A place for the recipe's system turn makes none where the recipe has none; a text that is empty is a turn.
        turns = [{"role": "system", "content": text_part(own)}] if own or self._scheme.system == "" else []
        return [*turns, {"role": "user", "content": list(self._parts(question))}]

    def _opening(self, question: Parts, system: str) -> str:
        if self._scheme.plain is not None:
            return self._scheme.plain.replace("{question}", "".join(part or "" for part in question))
        messages = self.messages(question, system)
        if not self._scheme.steps_of_user:
            messages.append({"role": "assistant", "content": text_part(STEPS)})
        text = self.render(messages, asks=False)
        if STEPS not in text:
            detail = "the model's chat template leaves out where the steps of its scheme stand"
            raise InvalidInput(detail, field="model")
        return text[: text.rindex(STEPS)]

    def _parts(self, question: Parts) -> Iterator[dict[str, str]]:
        """Images that come first stand at the scheme's mark, others where the question has them."""
        first = len(question) - 1 if question[-1] is not None and not any(question[:-1]) else 0
        before, _, behind = self._scheme.user.partition("{question}")
        # The question is filled in last: it may spell the other marks.
        around = (self._marked(before, first), question[first:], self._marked(behind, first))
        for part in _joined([part for parts in around for part in parts]):
            if part is not None:
                yield from text_part(part)
            elif self._images:
                yield {"type": "image"}

    def _marked(self, text: str, images: int) -> list[str | None]:
        """Parts of the scheme's own text around the question, with this many images at its mark."""
        before, mark, behind = text.replace("{steps}", STEPS).partition("{image}")
        return [before, *[None] * (images if mark else 0), behind]


def _joined(parts: Iterable[str | None]) -> Iterator[str | None]:
    """Texts that stand beside each other as one, and none that is empty; None stands for an image."""
    for is_image, group in groupby(parts, key=lambda part: part is None):
        if is_image:
            yield from group
        elif text := "".join(part for part in group if part is not None):
            yield text


def text_part(text: str) -> list[dict[str, str]]:
    """Content of a message that is text."""
    return [{"type": "text", "text": text}]
