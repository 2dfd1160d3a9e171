"""The worker's side of the step protocol over HTTP (bodies in `mstar.api.steps`)."""

from collections.abc import Callable, Mapping
from typing import Self

import httpx2
from pydantic import BaseModel, SecretStr

from mstar.api.steps import Ack, Arrivals, Claim, ClaimRequest, Commit, Heartbeat, HeartbeatReply, Release
from mstar.environment import env_prefix
from mstar.http_json import Reply, Sender, Target
from mstar.results import RunResults
from mstar_worker.config import ConnectedSettings


class StepClient:
    """Claims, renews, commits and releases steps. Thread-safe; every call raises what `Sender.send` raises."""

    def __init__(
        self,
        url: str,
        key: SecretStr | None = None,
        transport: httpx2.BaseTransport | None = None,
        prefix: str = "MSTAR_WORKER_",
    ) -> None:
        """`prefix`: of the variables that messages tell the reader to set."""
        secret = None if key is None else key.get_secret_value()
        self._target = Target(url, secret, f"{prefix}COORDINATOR_URL", f"{prefix}INTERNAL_KEY")
        # A coordinator that waits for its database answers within 30 seconds, with a 503 if need be.
        self._sender = Sender(httpx2.Timeout(30, connect=5), transport)

    @classmethod
    def of(cls, settings: ConnectedSettings) -> Self:
        """A client of the coordinator that these settings name."""
        return cls(settings.coordinator_url, settings.internal_key, prefix=env_prefix(type(settings)))

    def claim(self, step_id: str, worker: str) -> Claim:
        """Lease a step to this worker. Raises StepTaken when it is leased, finished or not due."""
        return self._post(step_id, "claim", ClaimRequest(worker=worker), Claim)

    def claimed(self, step_id: str) -> Claim:
        """What the holder of a leased step was given. Raises StepTaken while nobody holds it."""
        return self._send("GET", f"/internal/v1/steps/{step_id}/claim", None, Claim)

    def follow(self, claim: Claim) -> Callable[[], Arrivals]:
        """A function that asks which inputs of a leased step are new since its last call; the first call gets all."""
        seen = 0

        def ask() -> Arrivals:
            nonlocal seen
            path = f"/internal/v1/steps/{claim.step_id}/arrivals"
            found = self._send("GET", path, None, Arrivals, {"epoch": claim.epoch, "after": seen})
            seen = found.seen
            return found

        return ask

    def heartbeat(self, step_id: str, beat: Heartbeat) -> HeartbeatReply:
        """Renew the lease and report progress. Raises StaleEpoch when the lease is lost."""
        return self._post(step_id, "heartbeat", beat, HeartbeatReply)

    def commit(self, step_id: str, commit: Commit) -> None:
        """Hand in a step's result. Raises StaleEpoch when the lease is lost; the same commit may be sent again."""
        self._post(step_id, "commit", commit, Ack)

    def release(self, step_id: str, release: Release) -> None:
        """Give a step back with the reason. Raises StaleEpoch when the lease is lost."""
        self._post(step_id, "release", release, Ack)

    def results(self, run_id: str) -> RunResults:
        """The run's numbers so far, for the report."""
        return self._send("GET", f"/v1/runs/{run_id}/results", None, RunResults)

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def _post(self, step_id: str, verb: str, body: BaseModel, reply: type[Reply]) -> Reply:
        return self._send("POST", f"/internal/v1/steps/{step_id}/{verb}", body, reply)

    def _send(
        self,
        method: str,
        path: str,
        body: BaseModel | None,
        reply: type[Reply],
        params: Mapping[str, int] | None = None,
    ) -> Reply:
        return self._sender.send(self._target, method, path, reply, body=body, params=params)
