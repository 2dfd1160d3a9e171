"""What has been computed so far, as metrics."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from mstar.api.policy import Usage
from mstar_policy.rollouts import Rollouts
from mstar_web.quotas import spend


class UsageMetrics:
    """Counters of tokens and images, which every answered request adds to, and a gauge of the rows in progress."""

    def __init__(self, registry: CollectorRegistry, rollouts: Rollouts) -> None:
        tokens = Counter("mstar_policy_tokens", "Tokens computed.", ("kind",), registry=registry)
        # Both labels exist from the start, because a rate needs the zero before the first tokens.
        self._read, self._written = tokens.labels("prompt"), tokens.labels("completion")
        self._images = Counter("mstar_policy_images", "Images encoded.", registry=registry)
        Gauge("mstar_policy_rows", "Samples in progress.", registry=registry).set_function(lambda: rollouts.rows)

    def count(self, usage: Usage) -> None:
        """Add one request's share."""
        spend(tokens=usage.prompt_tokens + usage.completion_tokens)
        self._read.inc(usage.prompt_tokens)
        self._written.inc(usage.completion_tokens)
        self._images.inc(usage.images_encoded)
