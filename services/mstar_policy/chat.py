"""OpenAI's chat completions in terms of rollouts: bodies, the way in and the way out.

One user turn with one image is what the method trains and samples; other conversations are refused. So are the options
that would change the answer and that this service does not have, unless their value changes nothing.
What this leaves out: options that never touch the answer, such as `user` or `store`, are not looked at.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutReply, RolloutRequest
from mstar.errors import InvalidInput
from mstar.layout import STEP_SEPARATOR

DEFAULT_MAX_TOKENS = 512
MISSING: Mapping[str, tuple[object, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "stop": ("", []),
    "top_logprobs": (0,),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "moderation": (),
    "web_search_options": (),
    "verbosity": ("medium",),
    "reasoning_effort": ("none", "medium"),
    # Those below are not OpenAI's own, but clients of other servers send them.
    "top_k": (0, -1),
    "min_p": (0,),
    "repetition_penalty": (1,),
    "min_tokens": (0,),
    "ignore_eos": (False,),
    "stop_token_ids": ([],),
    "bad_words": ([],),
}
"""Options that would change the answer and that this service does not have, with their values that change nothing."""


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


class StreamOptions(BaseModel):
    include_usage: bool = False
    """Send the counted work in a last chunk without choices."""


class ChatRequest(BaseModel):
    """`POST /v1/chat/completions`. Unknown keys are ignored, as OpenAI-compatible servers do, and null is unset."""

    model_config = ConfigDict(
        extra="allow",
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
        },
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
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        return {key: value for key, value in body.items() if value is not None} if isinstance(body, dict) else body


def to_rollouts(chat: ChatRequest, seed: int) -> RolloutRequest:
    """The rollout request that a chat asks for; `seed` is used when the chat brings none. Raises InvalidInput."""
    _check_options(chat.model_extra or {})
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


def _check_options(sent: Mapping[str, object]) -> None:
    """Refuse options of `MISSING` that are sent with a value that matters."""
    for name, harmless in MISSING.items():
        if name in sent and sent[name] not in harmless:
            allowed = "".join(f" or send {json.dumps(value)}" for value in harmless)
            raise InvalidInput(f"{name} is not supported: leave it out{allowed}", field=name)


Read = Callable[[Sequence[int]], str]
"""The text of tokens."""


def completion(reply: RolloutReply, identity: str, read: Read) -> dict[str, Any]:
    """Body of `chat.completion`; its `model` is the weight version that answered."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": response.text},
            "finish_reason": response.finish_reason.value,
            "logprobs": _logprobs(reply, index, read),
        }
        for index, response in enumerate(reply.samples[0])
    ]
    return head(reply.weight_version, identity, "chat.completion") | {"choices": choices, "usage": usage(reply)}


def head(version: str, identity: str, kind: str) -> dict[str, Any]:
    """What every body begins with."""
    return {"id": identity, "object": kind, "created": int(time.time()), "model": version}


def usage(reply: RolloutReply) -> dict[str, int]:
    """Counted work in OpenAI's names."""
    prompt, sampled = reply.usage.prompt_tokens, reply.usage.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": sampled, "total_tokens": prompt + sampled}


def logprob_entry(token: int, logprob: float, read: Read) -> dict[str, Any]:
    """One sampled token in OpenAI's shape."""
    text = read([token])
    return {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": []}


def _logprobs(reply: RolloutReply, index: int, read: Read) -> dict[str, Any] | None:
    if reply.token_logprobs is None:
        return None
    pairs = zip(reply.samples[0][index].token_ids, reply.token_logprobs[0][index], strict=True)
    return {"content": [logprob_entry(*pair, read) for pair in pairs], "refusal": None}


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
