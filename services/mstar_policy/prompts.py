"""Checks and tokenization that both engines share, so that they agree token for token."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from mstar.errors import InvalidInput, Unavailable, WeightVersionMismatch
from mstar_models.encoding import check_sampled, encode_text
from mstar_policy.engine import EnginePrompt, SamplingRequest
from mstar_web.loads import NO_WEIGHTS

RETRY_AFTER_SECONDS = 1.0


def check_version(request: SamplingRequest, loaded: str | None) -> None:
    """Raise Unavailable before the first load, WeightVersionMismatch when a request names other weights."""
    if loaded is None:
        raise Unavailable(NO_WEIGHTS, retry_after=RETRY_AFTER_SECONDS)
    if request.weight_version not in (None, loaded):
        raise WeightVersionMismatch(
            f"weight version {loaded} is loaded, not {request.weight_version}: PUT /v1/weights first",
            field="weight_version",
        )


def check_length(index: int, prompt: EnginePrompt, tokenizer: Any, context: int) -> None:
    """Raise InvalidInput for a prompt whose characters alone exceed the context, before it is tokenized.

    `context`: tokens of prompt and response together. Tokenizing very long text would block the engine.
    """
    # No token has more characters, so this is a lower bound of the number of tokens and refuses nothing that fits.
    longest = _longest_token(tokenizer)
    characters = len(prompt.prefix) + sum(len(part) for turn in prompt.turns for part in turn.parts if part is not None)
    room_for(index, characters // longest + len(prompt.prefix_ids), context)


# `get_vocab` copies the whole vocabulary. Few are kept, since each keeps the tokenizer of replaced weights alive.
@lru_cache(maxsize=4)
def _longest_token(tokenizer: Any) -> int:
    """Most characters in one token."""
    return max(map(len, tokenizer.get_vocab()), default=1)


def room_for(index: int, tokens: int, context: int) -> int:
    """Tokens left for the response after a prompt of `tokens`. Raises InvalidInput when none is left."""
    if tokens >= context:
        raise InvalidInput(
            f"prompts.{index} has at least {tokens} tokens with its prefix, the model's context is {context}",
            field=f"prompts.{index}",
        )
    return context - tokens


@contextmanager
def naming(index: int) -> Iterator[None]:
    """Raises InvalidInput that names the prompt for what the model's template or processor refuses of it."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"prompts.{index}: {error.detail}", field=f"prompts.{index}") from error


def prefix_ids(index: int, prompt: EnginePrompt, tokenizer: Any, size: int | None = None) -> Sequence[int]:
    """Tokens of the beginning of a response: those that were sampled, or those of its text.

    `size`: rows of the model's embeddings. Raises InvalidInput for a token that is never sampled.
    """
    check_sampled(tokenizer, prompt.prefix_ids, size, f"prompts.{index}.prefix_ids")
    return prompt.prefix_ids or encode_text(tokenizer, prompt.prefix)
