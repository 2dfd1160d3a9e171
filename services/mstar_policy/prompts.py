"""What both engines ask of a prompt and of a model folder, so that they agree token for token."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from mstar.errors import InvalidInput, Unavailable, WeightVersionMismatch
from mstar.layout import STEP_SEPARATOR, join_segments, scored_segments
from mstar_models.encoding import encode_prefix, encode_segments, encode_text
from mstar_policy.engine import Prompt, SamplingRequest

RETRY_AFTER_SECONDS = 1.0
NO_WEIGHTS = "no weights are loaded: PUT /v1/weights first"


def check_version(request: SamplingRequest, loaded: str | None) -> None:
    """Raises Unavailable before the first load, WeightVersionMismatch when a request wants other weights."""
    if loaded is None:
        raise Unavailable(NO_WEIGHTS, retry_after=RETRY_AFTER_SECONDS)
    if request.weight_version not in (None, loaded):
        raise WeightVersionMismatch(
            f"weight version {loaded} is loaded, not {request.weight_version}: PUT /v1/weights first",
            field="weight_version",
        )


def check_length(index: int, prompt: Prompt, tokenizer: Any, context: int) -> None:
    """Raises InvalidInput for a prompt that cannot fit whatever its tokens are, before time is spent on making them."""
    longest = _longest_token(tokenizer)
    characters = len(prompt.prefix) + sum(len(part) for turn in prompt.turns for part in turn.parts if part is not None)
    room_for(index, characters // longest, context)


@lru_cache(maxsize=4)
def _longest_token(tokenizer: Any) -> int:
    """Characters that one token stands for at most."""
    return max(map(len, tokenizer.get_vocab()), default=1)


def room_for(index: int, tokens: int, context: int) -> int:
    """Tokens that a response may have behind a prompt of so many. Raises InvalidInput when none is left."""
    if tokens >= context:
        raise InvalidInput(
            f"prompts.{index} has at least {tokens} tokens with its prefix, the model's context is {context}",
            field=f"prompts.{index}",
        )
    return context - tokens


def prefix_ids(tokenizer: Any, prefix: str) -> Sequence[int]:
    """Tokens of the beginning of a response: as training and scoring see it where it is whole steps, else literally."""
    segments = scored_segments(prefix)
    whole = join_segments(segments)
    if prefix == whole:
        return encode_segments(tokenizer, segments)[0]
    if prefix == whole + STEP_SEPARATOR:
        return encode_prefix(tokenizer, segments)
    return encode_text(tokenizer, prefix)


def stop_ids(configured: int | list[int] | None, tokenizer: Any) -> set[int]:
    """The end of the turn, and what else the model's generation configuration ends a response with."""
    listed = configured if isinstance(configured, list) else [configured]
    return {token for token in (tokenizer.eos_token_id, *listed) if token is not None}
