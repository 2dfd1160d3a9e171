"""Where the images of a question stand in its text: at its marks if it has one for each, else before the text.

`<image>` is the mark of LLaVA's, TRL's and ms-swift's data. What this leaves out: the tokens that a model has for an
image, which its own chat template writes (`mstar_models`).
"""

import re

MARK = "<image>"
_NUMBERED = re.compile(r"<image[ _]?(\d+)>")
_SPELLED = re.compile(r"<(?=(?:image|video|audio)>)")
"""Marks of trainers and of processors, which count them wherever they stand."""
_OF_MODELS = re.compile(
    r"<\|vision_start\|><\|image_pad\|><\|vision_end\|>|<img><IMG_CONTEXT></img>|<\|image(?:_pad|_\d)?\|>|<IMG_CONTEXT>"
    r"|<image_placeholder>|<start_of_image>|<ImageHere>|\[IMG\]"
)
"""What a set has that was written for one model: Qwen2-VL, InternVL, Phi-3.5, Mllama, Janus, Gemma 3, Pixtral."""
_ANY = re.compile(r"\s*<image(?:[ _]?\d+)?>\s*")


def placed(text: str, images: int) -> tuple[str | None, ...]:
    """The parts of a user turn in their order; None stands where the next image is.

    Only a text with exactly `images` marks places its images, so a question that merely talks of the mark keeps it.
    Texts between images are kept as they are, but empty ones are left out.
    """
    between = text.split(MARK)
    if not images or len(between) != images + 1:
        return (*[None] * images, text)
    parts: list[str | None] = []
    for place, own in enumerate(between):
        parts += [None] if place else []
        parts += [own] if own else []
    return tuple(parts)


def marked(text: str, images: int) -> str:
    """The same as one text with a mark for each image and no other, as trainers read it."""
    return "".join(MARK if part is None else unmarked(part) for part in placed(text, images))


def unmarked(text: str) -> str:
    """A text that merely talks of marks, so that no trainer takes one of its words for a picture: `< image>`."""
    return _SPELLED.sub("< ", text)


def in_parts(text: str, images: int) -> list[dict[str, str]]:
    """The same as the parts of a chat message, as TRL and processors take them."""
    parts = placed(text, images)
    return [{"type": "image"} if part is None else {"type": "text", "text": unmarked(part)} for part in parts]


def places(text: str, images: int) -> bool:
    """Whether an image stands elsewhere than before the text, which a mere text cannot say to TRL."""
    parts = placed(text, images)
    return None in parts[images:]


def has_mark(text: str) -> bool:
    """Whether a text has a mark, numbered or not."""
    return _ANY.search(text) is not None


def as_published(text: str, images: int) -> str:
    """A question of a published set: with its marks where they say more than that the images come first, else without.

    Numbered marks (`<image 1>`, MMMU) count where each image is named once and in order; else they become words.
    """
    # To any other model they would be words; with another count than the images they may be meant.
    if MARK not in text and len(_OF_MODELS.findall(text)) == images:
        text = _OF_MODELS.sub(MARK, text)
    named = [int(number) for number in _NUMBERED.findall(text)]
    if named == list(range(1, images + 1)):
        text = _NUMBERED.sub(MARK, text)
    elif images > 1 and named and max(named) <= images:
        # Shown first, in their order: what names one again, or another one first, must still say which.
        text = _NUMBERED.sub(r"image \1", text)
    # With text after the last mark only, the images come first anyway.
    first, *others = text.split(MARK)
    if images > 1 and len(others) == images and any(part.strip() for part in (first, *others[:-1])):
        return text.strip()
    return _ANY.sub("\n", text).strip()
