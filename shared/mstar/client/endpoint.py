"""Where the services are, and the keys for them."""

import os
import re
from dataclasses import dataclass
from typing import Self

from mstar.errors import InvalidInput
from mstar.http_json import Target

DEFAULT_URL = "http://127.0.0.1:8400"
DEFAULT_POLICY_URL = "http://127.0.0.1:8401"
DEFAULT_PRM_URL = "http://127.0.0.1:8402"
_ADDRESS = re.compile(r"https?://[^\s/]", re.IGNORECASE)
START = "start it with `mstar up`"


@dataclass(frozen=True)
class Endpoint:
    """Addresses of the three services, and a key for each thing that is asked of them."""

    url: str = DEFAULT_URL
    prm_url: str = DEFAULT_PRM_URL
    run_admin_key: str | None = None
    score_key: str | None = None
    policy_url: str = DEFAULT_POLICY_URL
    weights_admin_key: str | None = None
    internal_key: str | None = None

    @classmethod
    def from_environment(cls) -> Self:
        """MSTAR_URL with MSTAR_RUN_ADMIN_KEY, MSTAR_PRM_URL with MSTAR_SCORE_KEY, MSTAR_POLICY_URL; loopback defaults.

        MSTAR_WEIGHTS_ADMIN_KEY loads weights into policy and PRM, MSTAR_INTERNAL_KEY samples from the policy.
        Raises InvalidInput for an address that is none.
        """
        env = os.environ
        return cls(
            url=_address("MSTAR_URL", DEFAULT_URL),
            prm_url=_address("MSTAR_PRM_URL", DEFAULT_PRM_URL),
            run_admin_key=env.get("MSTAR_RUN_ADMIN_KEY") or None,
            score_key=env.get("MSTAR_SCORE_KEY") or None,
            policy_url=_address("MSTAR_POLICY_URL", DEFAULT_POLICY_URL),
            weights_admin_key=env.get("MSTAR_WEIGHTS_ADMIN_KEY") or None,
            internal_key=env.get("MSTAR_INTERNAL_KEY") or None,
        )

    @property
    def runs(self) -> Target:
        """The coordinator."""
        return Target(self.url, self.run_admin_key, "MSTAR_URL", "MSTAR_RUN_ADMIN_KEY", START)

    @property
    def bulk(self) -> Target:
        """The coordinator, for files and batches, which a key for scoring may use as well."""
        if self.run_admin_key is not None:
            return self.runs
        return Target(self.url, self.score_key, "MSTAR_URL", "MSTAR_SCORE_KEY", START)

    @property
    def sampling(self) -> Target:
        """The policy, to sample from it."""
        return Target(self.policy_url, self.internal_key, "MSTAR_POLICY_URL", "MSTAR_INTERNAL_KEY", START)

    @property
    def policy_weights(self) -> Target:
        """The policy, to load weights into it."""
        return Target(self.policy_url, self.weights_admin_key, "MSTAR_POLICY_URL", "MSTAR_WEIGHTS_ADMIN_KEY", START)

    @property
    def prm_weights(self) -> Target:
        """The PRM, to load weights into it."""
        return Target(self.prm_url, self.weights_admin_key, "MSTAR_PRM_URL", "MSTAR_WEIGHTS_ADMIN_KEY", START)

    @property
    def scoring(self) -> Target:
        """The scoring endpoint."""
        return Target(self.prm_url, self.score_key, "MSTAR_PRM_URL", "MSTAR_SCORE_KEY", START)


def _address(variable: str, default: str) -> str:
    url = os.environ.get(variable, default)
    if not _ADDRESS.match(url):
        raise InvalidInput(f"{variable} is not an address: write it like {default}", field=variable)
    return url
