"""The mark for prompt caches that clients of hosted models set on messages and their parts; it affects no answer."""

from typing import Literal

from mstar.types import Frozen


class CacheControl(Frozen):
    """`cache_control` as Anthropic documents it and OpenRouter and LiteLLM send it.

    Accepted without effect: prefixes are kept without being told, as servers may that have a cache of their own.
    """

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None
