"""OpenAI's reply to a chat request: types, which also document the route, and how an engine's output becomes one."""

import time
from collections.abc import Sequence
from typing import Literal

from typing_extensions import TypedDict  # pydantic refuses the standard one before Python 3.12

from mstar.api.policy import Usage
from mstar_policy.chat import Chat
from mstar_policy.engine import Generation, Likely
from mstar_policy.text import Vocabulary


class Token(TypedDict):
    """A token with its log-probability in nats, and its own bytes, which may be half a character."""

    token: str
    logprob: float
    bytes: list[int]


class SampledToken(Token):
    """A token that was sampled, and the most likely ones at its place."""

    top_logprobs: list[Token]


class Logprobs(TypedDict):
    """What `logprobs` asks for."""

    content: list[SampledToken]
    refusal: None


class ReplyMessage(TypedDict):
    """The assistant's turn."""

    role: Literal["assistant"]
    content: str
    refusal: None


class Choice(TypedDict):
    """One sample."""

    index: int
    message: ReplyMessage
    finish_reason: str
    """`stop`, or `length` for an answer that max_tokens cut off."""
    logprobs: Logprobs | None


class TokenCounts(TypedDict):
    """Tokens read and sampled."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatReply(TypedDict):
    """Body of `chat.completion`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    """Unix seconds."""
    model: str
    """The weight version that answered."""
    choices: list[Choice]
    usage: TokenCounts


class Model(TypedDict):
    """A served model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(TypedDict):
    """What is served now."""

    object: Literal["list"]
    data: list[Model]


def completion(chat: Chat, generation: Generation, identity: str, vocabulary: Vocabulary) -> ChatReply:
    """Body of `chat.completion`; its `model` is the weight version that answered."""
    choices = [
        Choice(
            index=index,
            message=ReplyMessage(role="assistant", content=response.text, refusal=None),
            finish_reason=response.finish_reason.value,
            logprobs=_logprobs(generation, index, vocabulary) if chat.logprobs else None,
        )
        for index, response in enumerate(generation.samples[0])
    ]
    return ChatReply(
        id=identity,
        object="chat.completion",
        created=int(time.time()),
        model=generation.weight_version,
        choices=choices,
        usage=usage(generation.usage),
    )


def usage(counted: Usage) -> TokenCounts:
    """Token counts under OpenAI's names."""
    prompt, sampled = counted.prompt_tokens, counted.completion_tokens
    return TokenCounts(prompt_tokens=prompt, completion_tokens=sampled, total_tokens=prompt + sampled)


def logprob_entries(
    ids: Sequence[int],
    logprobs: Sequence[float],
    likely: Sequence[Likely],
    vocabulary: Vocabulary,
    *,
    first: bool,
) -> list[SampledToken]:
    """Sampled tokens in OpenAI's shape; `first`: they begin the answer."""
    return [
        SampledToken(
            **_named(token, logprob, vocabulary, first=first and not place),
            top_logprobs=[
                _named(other, its, vocabulary, first=first and not place)
                for other, its in (likely[place] if likely else ())
            ],
        )
        for place, (token, logprob) in enumerate(zip(ids, logprobs, strict=True))
    ]


def _named(token: int, logprob: float, vocabulary: Vocabulary, *, first: bool) -> Token:
    """A token with its log-probability and its own bytes, which may be half a character."""
    data = vocabulary.bytes_of(token, first=first)
    # Half a character shows as U+FFFD here; a client that wants the text joins the `bytes`.
    return Token(token=data.decode(errors="replace"), logprob=logprob, bytes=list(data))


def _logprobs(generation: Generation, index: int, vocabulary: Vocabulary) -> Logprobs:
    entries = logprob_entries(
        generation.samples[0][index].token_ids,
        generation.token_logprobs[0][index],
        generation.likely[0][index] if generation.likely else (),
        vocabulary,
        first=True,
    )
    return Logprobs(content=entries, refusal=None)
