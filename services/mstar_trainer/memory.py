"""Whether a GPU that others had before is free enough to train on: a rule over numbers, and the wait for it.

What a sleeper keeps, or one that has not quite ended, would stop a training in its middle for want of memory; here it
is told before it begins. What this leaves out: reading the numbers (`train`), and who holds the memory.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mstar.errors import Unavailable

LOOKS = 30
"""Before it is given up: a process that ends gives its memory back some seconds after its pod is gone."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one GPU."""

    free: int
    total: int
    own: int = 0
    """Held by this process's allocator."""

    @property
    def of_others(self) -> int:
        """Held by other processes, and by the context of this one."""
        return max(0, self.total - self.free - self.own)


def await_room(look: Callable[[], Memory], share: float, pause: Callable[[], None]) -> None:
    """Return once others hold at most `share` of the GPU. Raises Unavailable when they still hold more after `LOOKS`
    looks with a pause between two.
    """
    found = look()
    for _ in range(LOOKS - 1):
        if found.of_others <= share * found.total:
            return
        pause()
        found = look()
    if found.of_others > share * found.total:
        raise Unavailable(
            f"others still hold {found.of_others:,} bytes of the GPU's {found.total:,}, more than {share:.0%}: who had "
            f"it before has not given its memory back, or shares it"
        )
