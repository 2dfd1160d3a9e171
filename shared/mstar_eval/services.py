"""Asks the policy for responses and the PRM for their scores, again and again while a service restarts."""

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import httpx2

from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutReply, RolloutRequest, WeightsState
from mstar.api.prm import Candidate, ScoreReply, ScoreRequest
from mstar.errors import InvalidInput, TooManyRequests, Unavailable
from mstar.http_json import Sender, Target
from mstar.types import SCORE_DECIMALS

ANSWER_SECONDS = 3600.0
"""One request samples a whole shard."""
PATIENCE_SECONDS = 300.0
"""How long a service may be away before the evaluation stops; what it has by then is kept."""
PAUSE_SECONDS = 2.0
Answer = TypeVar("Answer")
Pictures = Sequence[bytes]
"""Of one question: image files, in its order."""


@dataclass(frozen=True)
class SamplingOptions:
    """How responses are drawn."""

    n: int = 1
    temperature: float = 0.0
    """0 is greedy decoding."""
    max_tokens: int = 1024
    top_p: float = 1.0


class ModelServices:
    """A policy, and a PRM where there is one. Thread-safe; a context manager."""

    def __init__(
        self,
        policy: Target | None,
        prm: Target | None = None,
        transport: httpx2.BaseTransport | None = None,
        patience: float = PATIENCE_SECONDS,
        broken: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`broken`: why a service that this process started cannot come back; None while it may."""
        self._policy, self._prm = policy, prm
        self._sender = Sender(httpx2.Timeout(ANSWER_SECONDS, connect=5), transport)
        self._patience, self._broken = patience, broken
        self._closed = False
        self.version = ""
        """Weight version that all responses must come from, once `weights` has been asked."""

    def __enter__(self) -> "ModelServices":
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._sender.close()

    @property
    def scores(self) -> bool:
        """Whether there is a PRM."""
        return self._prm is not None

    def weights(self) -> WeightsState:
        """What the policy has loaded. Raises Unavailable without weights, and what `Sender.send` raises."""
        assert self._policy is not None
        state = self._sender.send(self._policy, "GET", "/v1/weights", WeightsState)
        if not state.ready:
            raise Unavailable(f"the policy at {self._policy.shown} has no weights: load some first")
        self.version = state.weight_version
        return state

    def prm_version(self) -> str:
        """What the PRM has loaded; empty without a PRM. Raises what `Sender.send` raises."""
        if self._prm is None:
            return ""
        return self._sender.send(self._prm, "GET", "/v1/weights", WeightsState).weight_version

    def rollouts(
        self, prompts: Sequence[tuple[str, Pictures, int]], how: SamplingOptions, system: str = ""
    ) -> RolloutReply:
        """N responses for each (text, images, seed), and which prompts the model does not take.

        Raises what `Sender.send` raises.
        """
        assert self._policy is not None
        policy = self._policy
        request = RolloutRequest(
            prompts=tuple(
                Prompt(
                    question=text,
                    system=system,
                    images=_encoded(images),
                    n=how.n,
                    temperature=how.temperature,
                    seed=seed,
                )
                for text, images, seed in prompts
            ),
            max_tokens=how.max_tokens,
            top_p=how.top_p,
        )
        return self._patiently(lambda: self._sender.send(policy, "POST", "/v1/rollouts", RolloutReply, body=request))

    def step_scores(
        self, text: str, images: Pictures, response: str, separator: str | None = None
    ) -> tuple[str, tuple[float, ...]]:
        """PRM version and the score of each step of one response. Raises InvalidInput for one that cannot be scored.

        `separator`: as in `score`.
        """
        assert self._prm is not None
        prm = self._prm
        request = ScoreRequest(
            question=text,
            images=_encoded(images),
            responses=(Candidate(text=response),),
            step_separator=separator,
        )
        reply = self._patiently(lambda: self._sender.send(prm, "POST", "/v1/score", ScoreReply, body=request))
        result = reply.results[0]
        if result.error is not None:
            raise InvalidInput(result.error.detail, field=result.error.field)
        return reply.model_version, tuple(step.score for step in result.steps)

    def score(
        self, text: str, images: Pictures, responses: Sequence[str], separator: str | None = None
    ) -> tuple[str, tuple[float, ...]]:
        """PRM version and the least step score of each response; an empty response scores 0.

        `separator`: what separates their steps; None: what the PRM was trained with.
        """
        assert self._prm is not None
        prm, there = self._prm, [place for place, one in enumerate(responses) if one.strip()]
        # An empty response cannot be sent (`Candidate`), and must not be ranked first.
        scores = [0.0] * len(responses)
        if not there:
            return "", tuple(scores)
        request = ScoreRequest(
            question=text,
            images=_encoded(images),
            responses=tuple(Candidate(text=responses[place]) for place in there),
            step_separator=separator,
        )
        reply = self._patiently(lambda: self._sender.send(prm, "POST", "/v1/score", ScoreReply, body=request))
        for place, result in zip(there, reply.results, strict=True):
            scores[place] = round(result.score, SCORE_DECIMALS)
        return reply.model_version, tuple(scores)

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return ask()
            except (Unavailable, TooManyRequests) as error:
                reason = self._broken()
                if reason is not None:
                    raise Unavailable(reason) from error
                # After Ctrl-C requests under way end as unavailable, and nobody waits for another try.
                if self._closed or time.monotonic() > deadline:
                    raise
                # A little at a time, so that a service that is back, or has died for good, is noticed soon.
                time.sleep(min(error.retry_after or PAUSE_SECONDS, 10.0))


def _encoded(images: Pictures) -> tuple[ImageInput, ...]:
    return tuple(ImageInput(data=base64.b64encode(image).decode()) for image in images)
