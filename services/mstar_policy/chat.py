"""OpenAI's chat completions: the request body and its translation to an engine request (`chat_reply` has the way back).

A conversation may have several turns and images. Unsupported options that would change the answer are refused by name,
as are unknown ones; a value without effect is accepted.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mstar.api.cache_control import CacheControl
from mstar.api.images import ImageInput, image_of_data_url
from mstar.errors import InvalidInput, NotFound
from mstar.types import FIRST_BAD_ENDS, MAX_IMAGES
from mstar_models.chat import Role, Turn
from mstar_policy.engine import EnginePrompt, SamplingRequest
from mstar_policy.rollouts import check_unicode

DEFAULT_MAX_TOKENS = 512
MAX_CHARACTERS = 131_072
"""Text of all messages together."""
MODEL_NAME = "mstar-policy"
IDLE = frozenset(
    {
        "user",
        "store",
        "metadata",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "parallel_tool_calls",
    }
)
"""Options that never affect the answer: accepted with any value."""
HARMLESS: Mapping[str, tuple[object, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "verbosity": ("medium",),
    "reasoning_effort": ("none", "medium"),
    # Those below are not OpenAI's own, but clients of other servers send them.
    "add_generation_prompt": (True,),
    "add_special_tokens": (False,),
    "bad_words": ([],),
    "best_of": (1,),
    "chat_template_kwargs": ({},),
    "continue_final_message": (False,),
    "documents": ([],),
    "echo": (False,),
    "include_stop_str_in_output": (False,),
    "length_penalty": (1,),
    "min_p": (0,),
    "min_tokens": (0,),
    "mm_processor_kwargs": ({},),
    "priority": (0,),
    "repetition_penalty": (1,),
    "return_token_ids": (False,),
    "return_tokens_as_token_ids": (False,),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "stop_token_ids": ([],),
    "top_k": (0, -1),
    "use_beam_search": (False,),
}
"""Unsupported options that would change the answer, each with its values that have no effect."""


def _without_nulls(body: Any) -> Any:
    return {key: value for key, value in body.items() if value is not None} if isinstance(body, dict) else body


class _Body(BaseModel):
    """Strict types (a string is not a number), and null means unset."""

    model_config = ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, body: Any) -> Any:
        return _without_nulls(body)


class ImageUrl(_Body):
    """An image of a message, as a data URL."""

    url: str
    """`data:image/png;base64,…`; addresses are never fetched."""
    detail: Literal["auto", "low", "high", "original"] = "auto"
    """Accepted without effect: the model's processor decides the resolution of an image."""


class ContentPart(_Body):
    """One part of a message: text or an image."""

    type: Literal["text", "image_url"]
    text: str = ""
    image_url: ImageUrl | None = None
    cache_control: CacheControl | None = None
    """Accepted without effect."""


class ChatMessage(_Body):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[ContentPart], FIRST_BAD_ENDS]
    name: str = Field(default="", max_length=64)
    """Who speaks. Without effect, so that a role may have one name alone: several would tell speakers apart."""
    cache_control: CacheControl | None = None
    """Accepted without effect; clients set it here where the content is a string."""
    # What clients send back with an assistant's message that they got from here.
    tool_calls: Annotated[list[Any], FIRST_BAD_ENDS, Field(max_length=0)] = []
    annotations: Annotated[list[Any], FIRST_BAD_ENDS, Field(max_length=0)] = []


class StreamOptions(_Body):
    """Options of a streamed answer."""

    include_usage: bool = False
    """Send the token counts in a last chunk without choices."""
    include_obfuscation: bool = False
    """Accepted without effect."""


class ChatRequest(_Body):
    """`POST /v1/chat/completions`. Unknown options are refused by name, and null means unset."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "model": MODEL_NAME,
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

    model: str = Field(default=MODEL_NAME, max_length=500)
    """`mstar-policy` for whatever is loaded, or a weight version, which must be the loaded one."""
    messages: Annotated[list[ChatMessage], FIRST_BAD_ENDS] = Field(min_length=1, max_length=64)
    n: int = Field(default=1, ge=1, le=128)
    temperature: float = Field(default=1.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, le=32_768)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=32_768)
    seed: int | None = Field(default=None, ge=-1, le=2**63 - 1)
    """The same seed gives the same samples; without one, or with -1, a random seed is drawn."""
    stop: str | Annotated[list[str], FIRST_BAD_ENDS] = []
    """Up to 16 strings; the answer ends before the first of them."""
    ignore_eos: bool = False
    """Never sample the end of the turn, so that only length or `stop` ends the answer; for benchmarks."""
    stream: bool = False
    stream_options: StreamOptions | None = None
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=20)
    """With `logprobs`, how many of the most likely tokens to name at every place."""


@dataclass(frozen=True)
class Chat:
    """A chat request translated for the engine."""

    request: SamplingRequest
    images: tuple[ImageInput, ...]
    logprobs: bool
    include_usage: bool


def to_sampling(chat: ChatRequest, seed: int) -> Chat:
    """Translate a chat request; `seed` is used when the request has none.

    Raises InvalidInput, naming the field, for options that are not supported and for sizes beyond the limits.
    """
    _check_options(chat.model_extra or {})
    if chat.top_logprobs and not chat.logprobs:
        raise InvalidInput("top_logprobs needs logprobs: send logprobs true as well", field="top_logprobs")
    _check_names(chat.messages)
    turns, images = _conversation(chat.messages)
    prompt = EnginePrompt(
        turns=turns,
        n=chat.n,
        temperature=chat.temperature,
        seed=seed if chat.seed in (None, -1) else chat.seed or 0,
    )
    request = SamplingRequest(
        prompts=(prompt,),
        max_tokens=chat.max_completion_tokens or chat.max_tokens or DEFAULT_MAX_TOKENS,
        top_p=chat.top_p,
        stop=_stops(chat.stop),
        ignore_eos=chat.ignore_eos,
        top_logprobs=chat.top_logprobs,
        weight_version=None if chat.model == MODEL_NAME else chat.model,
    )
    include_usage = chat.stream_options is not None and chat.stream_options.include_usage
    return Chat(request, images, chat.logprobs, include_usage)


def require_model(name: str, loaded: str) -> None:
    """Raises NotFound unless a model of this name is served, `loaded` being the weight version."""
    # Before the first load the version is empty, and an empty name stands for nothing.
    if not name or name not in (MODEL_NAME, loaded):
        served = f"{MODEL_NAME} or {loaded}" if loaded else MODEL_NAME
        raise ModelNotFound(f"model {name[:64]!r} is not served here: send {served}", field="model")


class ModelNotFound(NotFound):
    """A model name that nothing is served under; the code is OpenAI's own."""

    code, title = "model_not_found", "Model not found"


def _check_options(sent: Mapping[str, object]) -> None:
    """Raise InvalidInput for an unknown option, or an unsupported one whose value would change the answer."""
    for name, value in sent.items():
        harmless = HARMLESS.get(name, ())
        # 0 == False in Python, and a client that sends one for the other is mistaken.
        if name not in IDLE and not any(type(value) is type(one) and value == one for one in _as_numbers(harmless)):
            allowed = "".join(f" or send {json.dumps(one)}" for one in harmless)
            raise InvalidInput(f"{name[:64]} is not supported: leave it out{allowed}", field=name[:64])


def _as_numbers(values: Sequence[object]) -> list[object]:
    """Whole numbers as decimal ones too: JSON does not tell them apart."""
    return [*values, *(float(one) for one in values if type(one) is int)]


def _stops(stop: str | list[str]) -> tuple[str, ...]:
    found = [stop] if isinstance(stop, str) else stop
    if len(found) > 16 or sum(map(len, found)) > 4096:
        raise InvalidInput("stop: at most 16 strings of 4096 characters together", field="stop")
    for one in found:
        check_unicode(one, "stop")
    # An empty string is found everywhere, so it would end every answer before its first token.
    return tuple(dict.fromkeys(one for one in found if one))


def _check_names(messages: Sequence[ChatMessage]) -> None:
    """Raise InvalidInput where names tell speakers of one role apart, which chat templates leave out."""
    names: dict[str, str] = {}
    for place, message in enumerate(messages):
        known = names.setdefault(message.role, message.name)
        if message.name != known:
            field = f"messages.{place}.name"
            detail = (
                f"{field}: the model is not told who speaks, and the role {message.role} has several names: "
                "write the names into their content, or give all the same"
            )
            raise InvalidInput(detail, field=field)


def _conversation(messages: Sequence[ChatMessage]) -> tuple[tuple[Turn, ...], tuple[ImageInput, ...]]:
    """The turns, and the images that they show, in order. Raises InvalidInput."""
    turns: list[Turn] = []
    images: list[ImageInput] = []
    characters = 0
    for place, message in enumerate(messages):
        field = f"messages.{place}"
        role: Role = "system" if message.role == "developer" else message.role
        parts: list[str | None] = []
        for part in _parts(message, field):
            if isinstance(part, ImageUrl):
                images.append(image_of_data_url(part.url, field))
                parts.append(None)
            else:
                check_unicode(part, field)
                characters += len(part)
                # Chat templates join parts without a separator, but clients send one paragraph a part.
                parts[-1:] = [f"{parts[-1]}\n{part}"] if parts and parts[-1] is not None else [*parts[-1:], part]
        if role != "user" and None in parts:
            raise InvalidInput(f"{field}: only a user turn may show an image", field=field)
        turns.append(Turn(role, tuple(parts)))
    if characters > MAX_CHARACTERS:
        detail = f"messages have {characters} characters; at most {MAX_CHARACTERS} are accepted"
        raise InvalidInput(detail, field="messages")
    if len(images) > MAX_IMAGES:
        raise InvalidInput(f"messages show {len(images)} images; at most {MAX_IMAGES} are accepted", field="messages")
    if not any(turn.images or any(part and part.strip() for part in turn.parts) for turn in turns):
        raise InvalidInput("messages contain neither text nor an image: send at least one", field="messages")
    return tuple(turns), tuple(images)


def _parts(message: ChatMessage, field: str) -> list[str | ImageUrl]:
    """Raises InvalidInput for a part that is not what its type says, which would lose its text or its image."""
    if isinstance(message.content, str):
        return [message.content]
    found: list[str | ImageUrl] = []
    for part in message.content:
        shows = part.type == "image_url"
        if shows is (part.image_url is None) or (shows and part.text):
            raise InvalidInput(f"{field}: a part of type {part.type} must hold {part.type}, and only that", field=field)
        found.append(part.text if part.image_url is None else part.image_url)
    return found
