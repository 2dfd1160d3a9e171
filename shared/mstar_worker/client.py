"""The worker's side of the step protocol over HTTP (bodies in `mstar.api.steps`)."""

from collections.abc import Callable
from typing import TypeVar

import httpx2
from pydantic import BaseModel, SecretStr

from mstar.api.steps import Ack, Arrivals, Claim, ClaimRequest, Commit, Heartbeat, HeartbeatReply, Release
from mstar.errors import Unavailable, from_problem
from mstar.results import RunResults

Body = TypeVar("Body", bound=BaseModel)


class StepClient:
    """Claims, renews, commits and releases steps. Thread-safe; raises MstarError, Unavailable when nothing answers."""

    def __init__(self, url: str, key: SecretStr | None = None, transport: httpx2.BaseTransport | None = None) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
        timeout = httpx2.Timeout(30, connect=5)
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=timeout, transport=transport)

    def claim(self, step_id: str, worker: str) -> Claim:
        return self._post(step_id, "claim", ClaimRequest(worker=worker), Claim)

    def claimed(self, step_id: str) -> Claim:
        """What the holder of a leased step was given. Raises StepTaken while nobody holds it."""
        return self._send("GET", f"/internal/v1/steps/{step_id}/claim", None, Claim)

    def follow(self, claim: Claim) -> Callable[[], Arrivals]:
        """Asks which inputs of a leased step have come since it was called last; the first time, which are there."""
        seen = 0

        def ask() -> Arrivals:
            nonlocal seen
            path = f"/internal/v1/steps/{claim.step_id}/arrivals?epoch={claim.epoch}&after={seen}"
            found = self._send("GET", path, None, Arrivals)
            seen = found.seen
            return found

        return ask

    def heartbeat(self, step_id: str, beat: Heartbeat) -> HeartbeatReply:
        return self._post(step_id, "heartbeat", beat, HeartbeatReply)

    def commit(self, step_id: str, commit: Commit) -> None:
        self._post(step_id, "commit", commit, Ack)

    def release(self, step_id: str, release: Release) -> None:
        self._post(step_id, "release", release, Ack)

    def results(self, run_id: str) -> RunResults:
        """The run's numbers so far, for the report."""
        return self._send("GET", f"/v1/runs/{run_id}/results", None, RunResults)

    def close(self) -> None:
        self._http.close()

    def _post(self, step_id: str, verb: str, body: BaseModel, reply: type[Body]) -> Body:
        return self._send("POST", f"/internal/v1/steps/{step_id}/{verb}", body, reply)

    def _send(self, method: str, path: str, body: BaseModel | None, reply: type[Body]) -> Body:
        content = None if body is None else body.model_dump_json()
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._http.request(method, path, content=content, headers=headers)
        except httpx2.TransportError as error:
            raise Unavailable(f"the coordinator does not answer: {error}", retry_after=1) from error
        if answer.is_error:
            try:
                problem = answer.json()
            except ValueError:
                problem = {}
            raise from_problem(problem, answer.status_code)
        return reply.model_validate_json(answer.content)
