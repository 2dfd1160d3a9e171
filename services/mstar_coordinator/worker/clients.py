"""Calls to policy and PRM: push the weights a step needs, send the request, and retry while a service restarts.

A service that was killed comes back without weights, or another step may have loaded others. Both show as a refusal
(409 or 503). The client then pushes the weights and asks again, so a reply is always from the version asked for.
"""

import re
from collections.abc import Callable
from typing import ClassVar

import httpx2
import structlog
from pydantic import BaseModel, SecretStr
from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_exponential

from mstar.api.policy import RefusedPrompt, RolloutReply, RolloutRequest, WeightsState, WeightsUpdate
from mstar.api.prm import ScoreReply, ScoreRequest
from mstar.errors import Conflict, CorruptArtefact, InvalidInput, TooManyRequests, Unavailable
from mstar.gpu_memory import GpuMemory
from mstar.http_json import Reply, Sender, Target
from mstar.steps import ArtefactRef

PATIENCE_SECONDS = 90.0
"""How long a service may be away before the step is given back."""
ANSWER_SECONDS = 900.0
"""How long one request may take: a whole rollout shard, or the loading of weights."""

log = structlog.get_logger()


class ModelService:
    """HTTP side that policy and PRM share. Thread-safe; every call raises what `Sender.send` raises."""

    url_setting: ClassVar[str]
    """Variable that holds the service's URL."""

    def __init__(
        self,
        url: str,
        internal_key: SecretStr | None = None,
        weights_admin_key: SecretStr | None = None,
        transport: httpx2.BaseTransport | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._target = self._with_key(url, internal_key, "MSTAR_WORKER_INTERNAL_KEY")
        self._weights_target = self._with_key(url, weights_admin_key, "MSTAR_WORKER_WEIGHTS_ADMIN_KEY")
        self._patience = patience_seconds
        self._sender = Sender(httpx2.Timeout(ANSWER_SECONDS, connect=5), transport)
        # A count and not a flag: the client serves the next step as well, whose requests must not be given up.
        self._given_up = 0
        """How often all requests were given up."""

    def give_up(self) -> None:
        """End the requests under way, and try none of them again. May be called from any thread."""
        self._given_up += 1
        self._sender.give_up()

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def asked(self, path: str, body: BaseModel, reply: type[Reply], weights: ArtefactRef) -> Reply:
        """POST until it is answered, with these weights loaded.

        Raises Unavailable when patience ends, and when the request is given up.
        """
        is_over = self._watch()

        def once() -> Reply:
            try:
                return self._sender.send(self._target, "POST", path, reply, body=body)
            # Either may mean that other weights are loaded, or none; pushing those that are loaded costs one request.
            except (Conflict, Unavailable):
                if is_over():
                    raise
                self.push(weights)
                return self._sender.send(self._target, "POST", path, reply, body=body)

        return _patiently(once, self._patience, is_over)

    def ready(self, weights: ArtefactRef) -> WeightsState:
        """Wait until these weights are loaded. Raises Unavailable when patience ends."""
        return _patiently(lambda: self.push(weights), self._patience, self._watch())

    def gpu_memory(self) -> GpuMemory | None:
        """Of the GPUs that the service may use."""
        return self._sender.send(self._target, "GET", "/v1/weights", WeightsState).gpu_memory

    def _watch(self) -> Callable[[], bool]:
        """Says whether requests were given up from now on."""
        before = self._given_up
        return lambda: self._given_up != before

    def push(self, weights: ArtefactRef) -> WeightsState:
        """Load a checkpoint artefact, if another one is loaded. Raises CorruptArtefact for one that was changed."""
        # By name and hash: the service reads the artefact itself, so no weights travel through this process.
        update = WeightsUpdate(artefact=weights.id, manifest_sha256=weights.sha256)
        try:
            state = self._sender.send(self._weights_target, "PUT", "/v1/weights", WeightsState, body=update)
        except InvalidInput as error:
            # The hash is the one that was committed, so what has another one was changed: resume makes it again.
            if error.field == "manifest_sha256":
                raise CorruptArtefact(f"artefact {weights.id} is not what was committed: {error.detail}") from error
            raise
        log.info("weights pushed", service=self._target.shown, weight_version=state.weight_version)
        return state

    def _with_key(self, url: str, key: SecretStr | None, setting: str) -> Target:
        return Target(url, None if key is None else key.get_secret_value(), self.url_setting, setting)


class PolicyService(ModelService):
    """The policy service."""

    url_setting = "MSTAR_WORKER_POLICY_URL"

    def rollouts(self, request: RolloutRequest, weights: ArtefactRef) -> RolloutReply:
        """Samples of exactly these weights; prompts that the model does not take are named in the reply."""
        versioned = request.model_copy(update={"weight_version": weights.version})
        try:
            return self.asked("/v1/rollouts", versioned, RolloutReply, weights)
        except InvalidInput as error:
            # The service refuses a request once it has no prompt left to sample.
            if not re.fullmatch(r"prompts\.\d+", error.field or ""):
                raise
            refused = (RefusedPrompt(index=place, detail=error.detail) for place in range(len(request.prompts)))
            return RolloutReply(
                weight_version=weights.version, samples=((),) * len(request.prompts), refused=tuple(refused)
            )


class PrmService(ModelService):
    """The PRM service."""

    url_setting = "MSTAR_WORKER_PRM_URL"

    def score(self, request: ScoreRequest, weights: ArtefactRef) -> ScoreReply:
        """Step scores by exactly these weights; a response that the PRM does not take has an error and no step.

        Raises InvalidInput where it takes none of them.
        """
        versioned = request.model_copy(update={"model_version": weights.version})
        return self.asked("/v1/score", versioned, ScoreReply, weights)


def _patiently(call: Callable[[], Reply], seconds: float, is_over: Callable[[], bool]) -> Reply:
    """Call until it succeeds, with growing pauses.

    Raises the last error when the next try would come too late, or when nobody needs it any more.
    """
    # Pauses of 0.2, 0.4, 0.8 … 3 s: a restarted service is found soon, and one that is away is not flooded.
    too_late = stop_before_delay(seconds)
    retrying = Retrying(
        retry=retry_if_exception_type((Unavailable, Conflict, TooManyRequests)),
        wait=wait_exponential(multiplier=0.2, max=3),
        stop=lambda state: is_over() or too_late(state),
        reraise=True,
    )
    return retrying(call)
