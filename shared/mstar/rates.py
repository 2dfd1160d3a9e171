"""A token bucket with debt: usage is charged afterwards, and a caller in debt waits.

Costs of a request are known only once it is done (tokens) or half done (pixels), so a request is admitted while the
level is above zero and may take it below. It fills evenly; a full one allows a burst of one period's amount.
"""

from dataclasses import dataclass
from math import ceil


@dataclass
class Bucket:
    """`quota` units a `period` of seconds. Times are monotonic seconds, given by who asks."""

    quota: float
    period: float
    level: float
    at: float

    @classmethod
    def full(cls, quota: float, period: float, now: float) -> "Bucket":
        """A bucket from which nothing was taken yet."""
        return cls(quota, period, quota, now)

    def wait(self, now: float, amount: float = 0.0) -> float:
        """Seconds until more than nothing, and at least `amount` if that is less than the quota, is there; 0: now."""
        self._fill(now)
        # A single request beyond the whole quota waits for a full bucket, and not for ever.
        wanted = max(min(amount, self.quota), self.quota * 1e-9)
        return max(0.0, (wanted - self.level) * self.period / self.quota)

    def spend(self, now: float, amount: float) -> None:
        """Take an amount, whether it is there or not."""
        self._fill(now)
        # May go below zero: the debt is what the next caller waits for.
        self.level -= amount

    def remaining(self, now: float) -> int:
        """Whole units that are there."""
        self._fill(now)
        return max(0, int(self.level))

    def seconds_to_full(self, now: float) -> int:
        """Seconds, rounded up, until it is full when nothing is taken."""
        self._fill(now)
        return ceil((self.quota - self.level) * self.period / self.quota)

    def _fill(self, now: float) -> None:
        # A clock that stands still or goes back fills nothing.
        passed = max(0.0, now - self.at)
        self.level = min(self.quota, self.level + passed * self.quota / self.period)
        self.at = max(self.at, now)
