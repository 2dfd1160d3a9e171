"""Conversations of other tools as questions to the PRM, and many responses to few questions as few requests.

A question is a system turn, a user turn and its images. Its responses are scored together, since the PRM computes image
and question once for all of them.
"""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mstar.api.images import ImageInput, image_of_data_url
from mstar.api.prm import Candidate, ScoredResponse, ScoreRequest
from mstar.client import Client
from mstar.errors import InvalidInput
from mstar.reward import Aggregate
from mstar.types import Frozen

MARK = "<image>"
TOGETHER = 64
"""Responses of one request: few enough that it ends long before the service's deadline."""


class Asked(Frozen):
    """What responses answer."""

    question: str
    system: str = ""
    images: tuple[ImageInput, ...] = ()


def asked_of(prompt: str | Sequence[Mapping[str, Any]], images: Iterable[Any] = ()) -> Asked:
    """The question of a prompt: its text, or a conversation of at most a system turn and one user turn.

    `images` stand beside the conversation; those that are parts of it come with their places. Raises InvalidInput for
    a conversation of several turns, which the PRM was not trained on.
    """
    if isinstance(prompt, str):
        return Asked(question=prompt, images=tuple(map(image_input, images)))
    turns = [turn for turn in prompt if turn["role"] != "system"]
    if len(turns) != 1 or turns[0]["role"] != "user":
        raise InvalidInput("the PRM scores answers to one user turn: send a single question", field="messages")
    system = "\n".join(text_of(turn["content"]) for turn in prompt if turn["role"] == "system")
    parts = [one for one in map(_image_of, _parts(turns[0]["content"])) if one is not None]
    beside = tuple(map(image_input, images))
    # A bare mark among the parts stands for one of the images beside them.
    return Asked(question=text_of(turns[0]["content"]), system=system, images=tuple(parts) or beside)


def text_of(content: Any) -> str:
    """The text of a turn, with the mark `<image>` for each part that is an image."""
    return "".join(MARK if part.get("type") != "text" else str(part.get("text", "")) for part in _parts(content))


def image_input(image: Any) -> ImageInput:
    """An image as bytes, data URL, path or PIL image. Raises InvalidInput for an address, which is never fetched."""
    if isinstance(image, ImageInput):
        return image
    if isinstance(image, str) and image.startswith("data:"):
        return image_of_data_url(image, "images")
    # Before paths: a path with `://` in it is an address that somebody forgot to load.
    if isinstance(image, str) and "://" in image:
        raise InvalidInput("images are sent as bytes, never as addresses: load it first", field="images")
    if isinstance(image, str | Path):
        return _encoded(Path(image).read_bytes())
    if isinstance(image, bytes):
        return _encoded(image)
    if isinstance(image, Mapping):
        # As `datasets` ({bytes, path}) and OpenAI ({url}) write an image.
        held = image.get("bytes") or image.get("url") or image.get("path")
        return image_input(held if held is not None else image.get("image"))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return _encoded(buffer.getvalue())


def scores(
    client: Client, pairs: Sequence[tuple[Asked, str]], aggregate: Aggregate = Aggregate.MIN
) -> list[ScoredResponse | None]:
    """A score for each question with its response, in their order; None for a response without any text.

    Questions that are equal are asked once. Raises what `Client.score` raises.
    """
    # Frozen questions hash by value, images included, so equal prompts of a batch meet here.
    groups: dict[Asked, list[int]] = {}
    for place, (asked, text) in enumerate(pairs):
        if text.strip():
            groups.setdefault(asked, []).append(place)
    found: list[ScoredResponse | None] = [None] * len(pairs)
    for asked, places in groups.items():
        for begin in range(0, len(places), TOGETHER):
            own = places[begin : begin + TOGETHER]
            reply = client.score(score_request(asked, [pairs[place][1] for place in own], aggregate))
            for place, result in zip(own, reply.results, strict=True):
                found[place] = result
    return found


def score_request(asked: Asked, texts: Sequence[str], aggregate: Aggregate) -> ScoreRequest:
    """The request for the responses to one question."""
    return ScoreRequest(
        question=asked.question,
        system=asked.system,
        images=asked.images,
        responses=tuple(Candidate(text=text) for text in texts),
        aggregate=aggregate,
    )


def _parts(content: Any) -> list[Mapping[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())


def _image_of(part: Mapping[str, Any]) -> ImageInput | None:
    """The image that a part brings; None for a text, and for a mark without one."""
    if part.get("type") == "text":
        return None
    held = part.get("image_url") or part.get("image")
    return None if held is None else image_input(held)


def _encoded(data: bytes) -> ImageInput:
    return ImageInput(data=base64.b64encode(data).decode())
