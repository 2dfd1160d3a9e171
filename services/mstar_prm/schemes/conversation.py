"""Prompt and steps of schemes that mark steps by text: what the chat template writes, cut at the places that are read.

The text is tokenized as a whole, as the model's own code does it, and then cut by character offsets. So a tag is found
where it was put, never where a step happens to spell it, and a tokenizer that treats the beginning of a text apart sees
no beginning in the middle.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

from jinja2 import TemplateError
from PIL.Image import Image

from mstar.errors import InvalidInput
from mstar.prm_schemes import LabelTokens, StepToken, Turns, ValueHead
from mstar_models.encoding import EncodedPrompt, PromptEncoder
from mstar_prm.scorer import Texts

Message = dict[str, Any]
STEPS = "@steps@"
"""Stands for the steps while the template is rendered. What a question spells comes before it."""
_ANY = "?"
"""Stands for a question where only the text behind it matters."""


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
        opening = self._opening(_ANY)
        self._context = opening.rstrip(" ")
        # Words carry the space before them in most vocabularies, so it belongs to the first step.
        self.lead = opening[len(self._context) :]

    def prompt(self, question: str, image: Image) -> EncodedPrompt:
        """All before the first step; a model without a vision tower does not see the image."""
        text = self._opening(self.prompts.harmless(question)).rstrip(" ")
        return self.prompts.encode_rendered(text, [image] if self._images else [])

    def tagged(self, segments: Texts, tag: str, separator: str) -> list[tuple[int, ...]]:
        """Token ids of each step with the tag behind it, at whose last token its score is read."""
        # Harmless, since the whole text is tokenized with special tokens recognised: a step may spell one.
        steps = [self.prompts.harmless(step) + tag for step in segments]
        return self.cut([self.lead + steps[0], *(separator + step for step in steps[1:])])

    def cut(self, parts: Sequence[str]) -> list[tuple[int, ...]]:
        """Token ids of consecutive parts of the text behind the opening. A token belongs to where it begins."""
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

    def messages(self, question: str) -> list[Message]:
        """System turn, if the scheme has one, and the user's with the question."""
        system = [] if self._scheme.system is None else [{"role": "system", "content": text_part(self._scheme.system)}]
        return [*system, {"role": "user", "content": list(self._parts(question))}]

    def _opening(self, question: str) -> str:
        if self._scheme.plain is not None:
            return self._scheme.plain.replace("{question}", question)
        messages = self.messages(question)
        if not self._scheme.steps_of_user:
            messages.append({"role": "assistant", "content": text_part(STEPS)})
        text = self.render(messages, asks=False)
        if STEPS not in text:
            detail = "the model's chat template leaves out where the steps of its scheme stand"
            raise InvalidInput(detail, field="model")
        return text[: text.rindex(STEPS)]

    def _parts(self, question: str) -> Iterator[dict[str, str]]:
        before, mark, behind = self._scheme.user.partition("{image}")
        for place, text in enumerate((before, behind)):
            if place and mark and self._images:
                yield {"type": "image"}
            if text:
                # The question last: it may spell the other mark.
                yield from text_part(text.replace("{steps}", STEPS).replace("{question}", question))


def text_part(text: str) -> list[dict[str, str]]:
    """Content of a message that is text."""
    return [{"type": "text", "text": text}]
