"""What a request is told whose forward pass finds no memory."""

import torch

from mstar.errors import MstarError, TooLarge
from mstar.host_memory import is_exhausted, no_memory

REMEDY = "give the PRM more memory, or lower MSTAR_PRM_BATCH_TOKENS or MSTAR_PRM_PREFIX_MEGABYTES"


def short_of_memory(error: Exception, tokens: int) -> MstarError | None:
    """The answer to a request of so many tokens that is alone in its pass; None for any other error."""
    if isinstance(error, torch.OutOfMemoryError):
        detail = f"{tokens} tokens at once take more memory than the GPU has: lower MSTAR_PRM_BATCH_TOKENS"
        return TooLarge(detail, field="responses")
    # No fault of the request: others use the machine's memory too, and may be done the next time.
    return no_memory(error, REMEDY) if is_exhausted(error) else None
