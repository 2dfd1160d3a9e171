"""OpenAI's chat completions in terms of rollouts: bodies, the way in and the way out.

One user turn with one image is what the method trains and samples; other conversations are refused. So are the options
that would change the answer and that this service does not have, unless they are sent unset.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutReply, RolloutRequest
from mstar.errors import InvalidInput
from mstar.layout import STEP_SEPARATOR
from mstar.types import FinishReason

DEFAULT_MAX_TOKENS = 512


class ImageUrl(BaseModel):
    url: str
    """`data:image/png;base64,…`; addresses are never fetched."""


class ContentPart(BaseModel):
    type: Literal["text", "image_url"]
    text: str = ""
    image_url: ImageUrl | None = None


class ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ContentPart]


class ChatRequest(BaseModel):
    """`POST /v1/chat/completions`. Unknown keys are ignored, as OpenAI-compatible servers do."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": "mstar-policy",
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                            {"type": "text", "text": "What is the sum of the two longest bars?"},
                        ],
                    }
                ],
                "temperature": 0,
            }
        }
    )

    model: str = ""
    """A weight version (with `@`) must be the loaded one; any other name means the loaded one."""
    messages: list[ChatMessage] = Field(min_length=1, max_length=64)
    n: int = Field(default=1, ge=1, le=128)
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, le=32_768)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=32_768)
    seed: int | None = Field(default=None, ge=0, le=2**63 - 1)
    stream: bool = False
    stop: None = None
    tools: None = None
    logprobs: bool | None = None
    top_logprobs: Literal[0] | None = None
    """Other candidates are not kept."""


def to_rollouts(chat: ChatRequest, seed: int) -> RolloutRequest:
    """The rollout request that a chat asks for; `seed` is used when the chat brings none. Raises InvalidInput."""
    *before, last = chat.messages
    system = [message for message in before if message.role in ("system", "developer")]
    if last.role != "user" or len(system) != len(before):
        raise InvalidInput("messages must be one user turn, after system messages if any", field="messages")
    texts = [_text_of(message) for message in chat.messages]
    try:
        prompt = Prompt(
            question=STEP_SEPARATOR.join(text for text in texts if text),
            image=_image_of(last),
            n=chat.n,
            temperature=chat.temperature,
            seed=seed if chat.seed is None else chat.seed,
        )
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        raise InvalidInput(f"messages: {problem['loc'][-1]}: {problem['msg']}", field="messages") from None
    return RolloutRequest(
        prompts=(prompt,),
        max_tokens=chat.max_completion_tokens or chat.max_tokens or DEFAULT_MAX_TOKENS,
        top_p=chat.top_p,
        logprobs=bool(chat.logprobs),
        weight_version=chat.model if "@" in chat.model else None,
    )


Spell = Callable[[int], str]
"""The text of a token."""


def completion(reply: RolloutReply, identity: str, created: int, spell: Spell) -> dict[str, Any]:
    """Body of `chat.completion`; its `model` is the weight version that answered."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": response.text},
            "finish_reason": response.finish_reason.value,
            "logprobs": _logprobs(reply, index, spell),
        }
        for index, response in enumerate(reply.samples[0])
    ]
    return _head(reply, identity, created, "chat.completion") | {"choices": choices, "usage": _usage(reply)}


def events(reply: RolloutReply, identity: str, created: int, spell: Spell) -> Iterator[str]:
    """The same as server-sent events of `chat.completion.chunk`: a step of the response at a time, or with logprobs a
    token at a time."""
    head = _head(reply, identity, created, "chat.completion.chunk")

    def chunk(index: int, delta: dict[str, str], logprobs: Any = None, finish_reason: str | None = None) -> str:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return f"data: {json.dumps(head | {'choices': [choice]})}\n\n"

    for index, response in enumerate(reply.samples[0]):
        yield chunk(index, {"role": "assistant", "content": ""})
        logprobs = _logprobs(reply, index, spell)
        if logprobs is None:
            *steps, rest = response.text.split(STEP_SEPARATOR)
            for piece in [*(step + STEP_SEPARATOR for step in steps), rest]:
                yield chunk(index, {"content": piece})
        else:
            # The token that ends the turn is in the log-probabilities, not in the text.
            ends = response.finish_reason is FinishReason.STOP
            last = len(logprobs["content"]) - ends
            for place, entry in enumerate(logprobs["content"]):
                content = entry["token"] if place < last else ""
                yield chunk(index, {"content": content}, {"content": [entry], "refusal": None})
        yield chunk(index, {}, finish_reason=response.finish_reason.value)
    yield f"data: {json.dumps(head | {'choices': [], 'usage': _usage(reply)})}\n\n"
    yield "data: [DONE]\n\n"


def _logprobs(reply: RolloutReply, index: int, spell: Spell) -> dict[str, Any] | None:
    """OpenAI's shape, one entry for each token that was sampled."""
    if reply.token_logprobs is None:
        return None
    content = []
    pairs = zip(reply.samples[0][index].token_ids, reply.token_logprobs[0][index], strict=True)
    for token, logprob in pairs:
        text = spell(token)
        content.append({"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": []})
    return {"content": content, "refusal": None}


def _text_of(message: ChatMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content if part.type == "text")


def _image_of(message: ChatMessage) -> ImageInput:
    parts = message.content if isinstance(message.content, list) else []
    urls = [part.image_url.url for part in parts if part.type == "image_url" and part.image_url is not None]
    if len(urls) != 1:
        raise InvalidInput(
            f"the user turn must hold one image, not {len(urls)}: add an image_url part", field="messages"
        )
    head, comma, data = urls[0].partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        detail = "image_url.url must be the image itself as data:image/png;base64,…; addresses are never fetched"
        raise InvalidInput(detail, field="messages")
    return ImageInput(data=data)


def _head(reply: RolloutReply, identity: str, created: int, kind: str) -> dict[str, Any]:
    return {"id": identity, "object": kind, "created": created, "model": reply.weight_version}


def _usage(reply: RolloutReply) -> dict[str, int]:
    prompt, sampled = reply.usage.prompt_tokens, reply.usage.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": sampled, "total_tokens": prompt + sampled}
