"""How many requests a client has under way: more as long as a service then answers more of them in the same time.

A PRM that computes together what waits together answers several requests in hardly more time than one. A PRM that
computes them one after another gains nothing from a queue. Only the rate of its answers tells which it is. What this
leaves out: the threads that wait (`mstar.client.ahead`), and pauses after a refusal (`mstar.client.retries`).
"""

MOST = 32
"""A service lets one caller's requests wait up to some number of them, and refuses the rest."""
GAIN = 1.1
"""Twice the requests are kept if answers come at least this many times as fast."""
SAMPLE = 8
"""Answers that a rate is taken from, at least."""
AGAIN = 500
"""Answers after which the number is tried anew: other work on the service may have come or gone."""


class Concurrency:
    """Doubles while that pays, and then stays."""

    def __init__(self, most: int = MOST) -> None:
        """`most`: requests under way at most, from 1."""
        self.now = 1
        """Requests to have under way."""
        self._most = most
        self._rate: float | None = None
        """Answers a second with half as many; None: nothing is known yet."""
        self._growing = True
        self._seen = 0
        """Answers since the number was changed."""
        self._since = 0.0
        """When the first answers that count came."""

    def answered(self, at: float) -> None:
        """Note an answer. `at`: seconds by a clock that never goes back."""
        self._seen += 1
        if not self._growing:
            if self._seen >= AGAIN:
                self._begin(growing=True)
                self._rate = None
            return
        # The first ones were asked for while the number was another.
        skipped, counted = self.now, max(SAMPLE, 2 * self.now)
        if self._seen == skipped:
            self._since = at
        elif self._seen == skipped + counted:
            self._judge(counted / max(at - self._since, 1e-9))

    def _judge(self, rate: float) -> None:
        """Double the number, keep it, or go back, by the rate that it gives."""
        if self._rate is not None and rate < GAIN * self._rate:
            self.now //= 2
            self._begin(growing=False)
        elif self.now == self._most:
            self._begin(growing=False)
        else:
            self.now = min(2 * self.now, self._most)
            self._begin(growing=True)
            self._rate = rate

    def _begin(self, *, growing: bool) -> None:
        self._growing, self._seen = growing, 0
