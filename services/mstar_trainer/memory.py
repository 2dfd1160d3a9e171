"""Waits until a GPU that other processes used before is free enough to train on.

Memory that a sleeping engine keeps, or a process that has not ended yet, would make training fail halfway; checked
here, it fails with a clear error before it begins. What this leaves out: reading the numbers (`rank_main`), and who
holds the memory.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mstar.errors import Unavailable

SMALLER = "give the trainer more memory, set train.gradient_checkpointing or train.lora, or lower train.micro_tokens"
"""What helps where the machine's own memory is used up."""
LOOKS = 30
"""Looks before giving up: a process frees its memory some seconds after its pod is gone."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one GPU."""

    free: int
    total: int
    own: int = 0
    """Bytes held by this process's allocator."""

    @property
    def of_others(self) -> int:
        """Bytes held by other processes, and by the CUDA context of this one."""
        return max(0, self.total - self.free - self.own)


def await_room(look: Callable[[], Memory], share: float, pause: Callable[[], None]) -> None:
    """Return once others hold at most `share` of the GPU, in [0, 1].

    Raises Unavailable when they still hold more after `LOOKS` looks, with a pause between two.
    """
    found = look()
    for _ in range(LOOKS - 1):
        if found.of_others <= share * found.total:
            return
        pause()
        found = look()
    if found.of_others > share * found.total:
        raise Unavailable(
            f"other processes still hold {found.of_others:,} of {found.total:,} bytes of the GPU, more than "
            f"{share:.0%}: the process that used it before has not freed its memory, or is still running"
        )
