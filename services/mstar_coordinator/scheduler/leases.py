"""Finds leases that are no longer renewed.

A heartbeat raises the lease's count of renewals in the database. A lease whose epoch and count have not changed for its
whole length, while this process was looking, has lost its worker (`stillness`).
"""

from collections.abc import Collection

from mstar_coordinator.scheduler.ports import Clock
from mstar_coordinator.scheduler.stillness import Stillness
from mstar_coordinator.store.records import Lease

LOOKS_PER_LEASE = 2
"""Whoever looks less often than this many times in a lease was held up itself, and knows nothing of the workers."""


class LeaseWatch:
    """Watches leases for silence. Thread-safe."""

    def __init__(self, clock: Clock, lease_seconds: float) -> None:
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._stillness = Stillness(clock)
        self._looked = clock()

    def begin(self, lease: Lease) -> None:
        """A lease was given out or renewed through this process."""
        self._stillness.restart(lease.step_id, (lease.epoch, lease.renewals))

    def is_silent(self, lease: Lease) -> bool:
        """Whether nobody has renewed it for longer than it lasts."""
        return self._stillness.seconds(lease.step_id, (lease.epoch, lease.renewals)) > self._lease_seconds

    def silent(self, leases: Collection[Lease]) -> list[str]:
        """Ids of the steps whose lease is silent, of all leases that there are."""
        self.check_gap()
        self._looked = self._clock()
        found = [lease.step_id for lease in leases if self.is_silent(lease)]
        self._stillness.keep({lease.step_id for lease in leases})
        return found

    def check_gap(self) -> bool:
        """Give every lease its whole length from now if this process could not look for a while; whether it did.

        While a coordinator stands still (a stopped process, a locked database), no heartbeat gets through, and the
        silence is its own.
        """
        gap = self._clock() - self._looked > self._lease_seconds / LOOKS_PER_LEASE
        if gap:
            self._stillness.clear()
        return gap
