"""Text and images to tokens, in one way for policy, PRM and trainer.

A prompt goes through the model's own processor and chat template. What the policy sampled is never tokenized again: its
token ids go through the whole run. A response that comes as text is tokenized here. Text never becomes a special token:
an image placeholder that a response contains is read as ordinary characters.
"""

import hashlib
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Literal

import torch
from cachetools import LRUCache, cached
from jinja2 import TemplateError
from PIL import Image

from mstar.errors import InvalidInput
from mstar.layout import STEP_SEPARATOR, gaps, join_segments
from mstar_models.chat import Turn, build_messages, question_turns
from mstar_models.families import family_of_processor
from mstar_models.special_tokens import edges_of, never_sampled, special_tokens
from mstar_models.spelling import segment_ends, spelling_of

REMEMBERED_BYTES = 2**30
REMEMBERED_TEXT_BYTES = 32 * 2**20
"""Of token ids: texts that are refused are tokenized as well, and must not fill the memory."""
_TEXT_KEYS = frozenset(
    {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "moe_mm_token_type_ids", "labels"}
)
_TOKEN_KEYS = frozenset({"cross_attention_mask"})
"""What a processor gives for each token that does not follow from the token ids."""


@dataclass(frozen=True)
class EncodedPrompt:
    """A prompt up to where the assistant begins."""

    input_ids: list[int]
    pixels: dict[str, torch.Tensor] = field(default_factory=dict)
    """What the vision tower takes, each tensor with an axis that concatenates over prompts, most often the first."""
    per_token: dict[str, torch.Tensor] = field(default_factory=dict)
    """What the model takes for each of the P tokens beside its id, each tensor [1, P, ...]."""
    pixel_axes: Mapping[str, int] = field(default_factory=dict)
    """The axis that concatenates over prompts, where it is not the first."""
    images: int = 0

    @property
    def pixel_shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """In what prompts must agree to be computed together: images may have more tiles than others.

        What they have for each token counts too: where it says which images a token sees, its width is their number.
        """
        of_tokens = ((name, tuple(tensor.shape[2:])) for name, tensor in self.per_token.items())
        return *((name, self._rest(name, tensor)) for name, tensor in self.pixels.items()), *of_tokens

    def _rest(self, name: str, tensor: torch.Tensor) -> tuple[int, ...]:
        axis = self.pixel_axes.get(name, 0)
        return (*tensor.shape[:axis], *tensor.shape[axis + 1 :])


def join_pixels(prompts: Sequence[EncodedPrompt]) -> dict[str, torch.Tensor]:
    """Pixels of prompts whose `pixel_shapes` are equal, as one batch: [sum of N, ...] where each prompt has [N, ...].

    N counts images, tiles or patches, as the family has it; it is not the first axis in every family (`pixel_axes`).
    """
    first = prompts[0]
    return {
        name: torch.cat([prompt.pixels[name] for prompt in prompts], dim=first.pixel_axes.get(name, 0))
        for name in first.pixels
    }


class PromptEncoder:
    """Encodes prompts and remembers the last ones: a question comes back for each temperature and iteration."""

    def __init__(self, processor: Any, remembered_bytes: int = REMEMBERED_BYTES) -> None:
        """`remembered_bytes`: of token ids, pixels and text that are kept."""
        self.processor = processor
        self._family = family_of_processor(processor)
        self._edges = edges_of(processor.tokenizer)
        self._special = tuple(special_tokens(processor.tokenizer))
        self._cache: LRUCache[tuple[str, bytes], EncodedPrompt] = LRUCache(remembered_bytes, getsizeof=_size)

    def encode(self, question: str, images: Sequence[Image.Image], system: str = "") -> EncodedPrompt:
        """A question about its images, or about none, as the method trains and samples it."""
        return self.encode_turns(question_turns(question, system, len(images)), images)

    def encode_turns(self, turns: Sequence[Turn], images: Sequence[Image.Image]) -> EncodedPrompt:
        """Token ids with the place holders of all images expanded, and the images' tensors.

        `images` are those of the turns, in their order. Raises InvalidInput for turns that the model's chat template
        does not take.
        """
        return self.encode_rendered(self.text_of(turns), images)

    def encode_rendered(self, text: str, images: Sequence[Image.Image]) -> EncodedPrompt:
        """The same for a prompt that the chat template has already made text of."""
        digest = hashlib.sha256()
        for image in images:
            # With the size, since equal bytes of another width are another picture.
            digest.update(repr(image.size).encode() + hashlib.sha256(image.tobytes()).digest())
        key = (text, digest.digest())
        found = self._cache.get(key)
        if found is None:
            found = self._encode(text, images)
            # One that is larger than the whole memory is not kept.
            with suppress(ValueError):
                self._cache[key] = found
        return found

    def unexpanded(self, turns: Sequence[Turn]) -> list[int]:
        """Token ids with one place holder an image, for engines that expand it themselves. Raises InvalidInput."""
        text = self.text_of(turns)
        asked = self._edges.asked(text)
        # Special tokens are recognised here: only the template writes any, since `text_of` made the user's harmless.
        ids = list(self.processor.tokenizer(text, add_special_tokens=asked)["input_ids"])
        return ids[: len(ids) - self._edges.behind * asked]

    def text_of(self, turns: Sequence[Turn]) -> str:
        """The prompt as the model's chat template writes it, up to where the assistant begins. Raises InvalidInput."""
        harmless = [
            Turn(turn.role, tuple(part if part is None else self.harmless(part) for part in turn.parts))
            for turn in turns
        ]
        try:
            return str(self.processor.apply_chat_template(build_messages(harmless), add_generation_prompt=True))
        except TemplateError as error:
            detail = f"the model's chat template does not take these messages: {error}"
            raise InvalidInput(detail, field="messages") from error

    def _encode(self, text: str, images: Sequence[Image.Image]) -> EncodedPrompt:
        shown = {"images": list(images)} if images else {}
        # A template and a tokenizer that both write a beginning would give two.
        asked = self._edges.asked(text)
        try:
            values = self.processor(text=text, **shown, return_tensors="pt", add_special_tokens=asked)
        # Some take no prompt without an image, or one image only; settings of a wrong type raise anything.
        except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RuntimeError) as error:
            said = str(error).strip().splitlines() or ["no reason given"]
            count = "1 image" if len(images) == 1 else f"{len(images)} images"
            detail = f"the model's processor does not take {count} in this prompt: {said[0][:200]}"
            raise InvalidInput(detail, field="messages") from error
        length = values["input_ids"].shape[1] - self._edges.behind * asked
        # Whatever is not of the text is the vision tower's: families name their tensors as they please.
        pixels = {key: value for key, value in values.items() if key not in _TEXT_KEYS | _TOKEN_KEYS}
        per_token = {key: value[:, :length] for key, value in values.items() if key in _TOKEN_KEYS}
        ids = values["input_ids"][0, :length].tolist()
        return EncodedPrompt(ids, pixels, per_token, self._family.pixel_axes, len(images))

    def harmless(self, text: str) -> str:
        """A user's text may spell a special token; a space inside keeps the processor from seeing one."""
        for token in self._special:
            if token in text:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text


def _size(prompt: EncodedPrompt) -> int:
    """Bytes of a prompt's tensors and token ids; a list of ids takes about 32 bytes for each."""
    return 256 + 32 * len(prompt.input_ids) + sum(tensor.nbytes for tensor in prompt.pixels.values())


def encode_segments(
    tokenizer: Any, segments: Sequence[str], separator: str = STEP_SEPARATOR
) -> tuple[list[int], list[int]]:
    """Token ids of a response that comes as text, and how many of them lie up to the end of each segment.

    The one way in which text from outside becomes tokens: the segments are joined by the separator and tokenized as a
    whole, as a model would write them, and cut as sampled tokens are (`spelling`). A vocabulary that lacks a character
    of the text cannot spell it, so that no place in it is certain; then each segment is tokenized on its own.
    """
    whole = encode_text(tokenizer, join_segments(segments, separator))
    ends = segment_ends(spelling_of(tokenizer), whole, segments, separator)
    if ends is not None:
        return list(whole), list(ends)
    behind = (*gaps(segments, separator), "")
    parts = [encode_text(tokenizer, one + gap) for one, gap in zip(segments, behind, strict=False)]
    return [token for part in parts for token in part], list(accumulate(map(len, parts)))


def _bytes_of(ids: tuple[int, ...]) -> int:
    # Each id is a pointer and an integer of its own; the key, which is the text, is of about the same size.
    return 200 + 72 * len(ids)


@cached(LRUCache(REMEMBERED_TEXT_BYTES, getsizeof=_bytes_of), lock=threading.Lock())
def encode_text(tokenizer: Any, text: str) -> tuple[int, ...]:
    """Token ids of plain text, in which no special token is recognised."""
    return tuple(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])


def check_sampled(tokenizer: Any, ids: Sequence[int], size: int | None, field: str) -> None:
    """Raises InvalidInput, naming the field, for ids that no policy samples: beyond the model's embeddings, or special.

    `size`: rows of the embeddings, often more than the tokenizer has tokens; None where the engine looks itself.
    """
    # An image's place holder among sampled ids would be an image that is not there.
    strange = never_sampled(tokenizer).intersection(ids)
    if size is not None:
        strange |= {token for token in ids if token >= size}
    if strange:
        raise InvalidInput(f"{field}: {min(strange)} is not a token that this model's policy samples", field=field)


def collate(
    batch: Iterable[tuple[EncodedPrompt, Sequence[int]]], side: Literal["left", "right"], pad_id: int = 0
) -> dict[str, torch.Tensor]:
    """Pad prompts with their responses to one length T.

    Returns `input_ids` and `attention_mask` of shape [B, T] and the image tensors concatenated over the batch.
    Generation pads on the left, so that the last column is the last token; training and scoring pad on the right.
    """
    pairs = list(batch)
    rows = [[*prompt.input_ids, *response] for prompt, response in pairs]
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for place, row in enumerate(rows):
        where = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[place, where] = torch.tensor(row, dtype=torch.long)
        mask[place, where] = 1
    return {"input_ids": ids, "attention_mask": mask, **join_pixels([prompt for prompt, _ in pairs])}
