"""When a request is retried, and after how long: a pure rule over the error that it ended with.

A service that answers 429 or 503 has not begun the work, so any request may follow. One whose connection broke off may
have been carried out: it is sent again only where a second arrival changes nothing more.
"""

from dataclasses import dataclass

from mstar.errors import MstarError, TooManyRequests, Unanswered, Unavailable, Unreachable


@dataclass(frozen=True)
class Retries:
    """How patient a client is."""

    tries: int = 5
    """Times that a request is sent at most."""
    longest: float = 60.0
    """Seconds of one pause. A service that asks for a longer one is not asked again."""
    first: float = 0.5
    """Seconds before the second try where the service names none; twice as many before each further one."""

    def pause(self, tried: int, error: MstarError, *, repeatable: bool, draw: float) -> float | None:
        """Seconds to wait after this many tries; None to give up and raise the error.

        Never less than the service's Retry-After (RFC 9110, section 10.2.3). `draw`: a random number from 0 to 1,
        which spreads out clients that were refused at the same moment.
        """
        if tried >= self.tries or not isinstance(error, TooManyRequests | Unavailable):
            return None
        # Nobody listens there: more often a wrong address than a service that is about to start.
        if isinstance(error, Unreachable) or (isinstance(error, Unanswered) and not repeatable):
            return None
        if error.retry_after is not None and error.retry_after > self.longest:
            return None
        growing = self.first * 2.0 ** (tried - 1)
        # A Retry-After of 0 says nothing of when, so the growing pause holds.
        least: float = error.retry_after or growing
        # Random time on top and never off it: a server's Retry-After is the least.
        return min(least + draw * growing / 2, self.longest)


ONCE = Retries(tries=1)
"""Every error is raised at once."""
