"""Calls to policy and PRM: push the weights a step needs, then ask; wait out a restart.

A service that was killed comes back without weights, or another step may have loaded others. Both show as a refusal
(409 or 503), which is answered by a push and another try. A reply is therefore always from the version asked for.
"""

import time
from collections.abc import Callable
from typing import TypeVar

import httpx2
import structlog
from pydantic import BaseModel, SecretStr

from mstar.api.policy import RolloutReply, RolloutRequest, WeightsState, WeightsUpdate
from mstar.api.prm import ScoreReply, ScoreRequest
from mstar.errors import Conflict, InvalidInput, TooManyRequests, Unavailable, from_problem
from mstar.steps import ArtefactRef

Reply = TypeVar("Reply", bound=BaseModel)
PATIENCE_SECONDS = 90.0
"""How long a service may be away before the step is given back."""
ANSWER_SECONDS = 900.0
"""How long one request may take: a whole rollout shard, or the loading of weights."""

log = structlog.get_logger()


class ModelService:
    """HTTP side that policy and PRM share. Thread-safe."""

    def __init__(
        self,
        url: str,
        internal_key: SecretStr | None = None,
        weights_admin_key: SecretStr | None = None,
        transport: httpx2.BaseTransport | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._internal_key, self._weights_admin_key = internal_key, weights_admin_key
        timeout = httpx2.Timeout(ANSWER_SECONDS, connect=5)
        self._patience = patience_seconds
        self._http = httpx2.Client(base_url=url, timeout=timeout, transport=transport)

    def close(self) -> None:
        self._http.close()

    def asked(self, path: str, body: BaseModel, reply: type[Reply], weights: ArtefactRef) -> Reply:
        """POST until it is answered, with these weights loaded. Raises Unavailable when patience ends."""

        def once() -> Reply:
            try:
                return self._send("POST", path, body, reply, self._internal_key)
            except (Conflict, Unavailable):
                self.push(weights)
                return self._send("POST", path, body, reply, self._internal_key)

        return _patiently(once, self._patience)

    def ready(self, weights: ArtefactRef) -> WeightsState:
        """Wait until these weights are loaded. Raises Unavailable when patience ends."""
        return _patiently(lambda: self.push(weights), self._patience)

    def push(self, weights: ArtefactRef) -> WeightsState:
        """Load a checkpoint artefact, if another one is loaded."""
        update = WeightsUpdate(artefact=weights.id, manifest_sha256=weights.sha256)
        state = self._send("PUT", "/v1/weights", update, WeightsState, self._weights_admin_key)
        log.info("weights pushed", service=str(self._http.base_url), weight_version=state.weight_version)
        return state

    def _send(self, method: str, path: str, body: BaseModel, reply: type[Reply], key: SecretStr | None) -> Reply:
        headers = {"Content-Type": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key.get_secret_value()}"
        try:
            answer = self._http.request(method, path, content=body.model_dump_json(), headers=headers)
        except httpx2.TransportError as error:
            raise Unavailable(f"{self._http.base_url} does not answer: {type(error).__name__}") from error
        if answer.is_error:
            try:
                problem = answer.json()
            except ValueError:
                problem = {}
            raise from_problem(problem, answer.status_code)
        return reply.model_validate_json(answer.content)


class PolicyService(ModelService):
    """The policy service."""

    def rollouts(self, request: RolloutRequest, weights: ArtefactRef) -> RolloutReply:
        """Samples of exactly these weights."""
        versioned = request.model_copy(update={"weight_version": weights.version})
        return self.asked("/v1/rollouts", versioned, RolloutReply, weights)


class PrmService(ModelService):
    """The PRM service."""

    def score(self, request: ScoreRequest, weights: ArtefactRef) -> ScoreReply:
        """Step scores by exactly these weights."""
        versioned = request.model_copy(update={"model_version": weights.version})
        reply = self.asked("/v1/score", versioned, ScoreReply, weights)
        for one in reply.results:
            if one.error is not None:
                raise InvalidInput(one.error.detail, field=one.error.field)
        return reply


def _patiently(call: Callable[[], Reply], seconds: float) -> Reply:
    deadline = time.monotonic() + seconds
    pause = 0.2
    while True:
        try:
            return call()
        except (Unavailable, Conflict, TooManyRequests):
            if time.monotonic() + pause > deadline:
                raise
            time.sleep(pause)
            pause = min(2 * pause, 3.0)
