"""Several replicas of a model service as one service: a question keeps to its replica, where its prefix is cached.

Questions are spread by rendezvous hashing with a bound on the load, so that a replica that comes or goes moves few of
them and none gets much more than its share. What this leaves out: talking to one replica, and retries (`services`).
"""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, Protocol, TypeVar

from mstar.api.policy import Prompt, RolloutReply, RolloutRequest, Usage
from mstar.api.prm import ScoreReply, ScoreRequest
from mstar.errors import Unavailable
from mstar.steps import ArtefactRef
from mstar.types import Response
from mstar_coordinator.addresses import addresses
from mstar_coordinator.work.services import PolicyService, PrmService

SLACK = 1.25
"""Load that a replica takes at most, as a multiple of the mean."""
RESOLVE_SECONDS = 5.0

Service = TypeVar("Service", PolicyService, PrmService)


class Policy(Protocol):
    """What a step needs of the policy."""

    def rollouts(self, request: RolloutRequest, weights: ArtefactRef) -> RolloutReply:
        """Samples of exactly these weights."""


class Prm(Protocol):
    """What a step needs of the PRM."""

    def score(self, request: ScoreRequest, weights: ArtefactRef) -> ScoreReply:
        """Step scores by exactly these weights."""


class Replicas(Generic[Service]):
    """The replicas behind some URLs; a host name with several IPv4 addresses stands for one replica at each."""

    def __init__(self, urls: Sequence[str], make: Callable[[str], Service]) -> None:
        self._urls = urls
        self._make: Callable[[str], Service] = make
        self._services: dict[str, Service] = {}
        self._found: list[str] = []
        self._due = 0.0
        self._lock = Lock()

    def current(self) -> dict[str, Service]:
        """URL → service of every replica there is now."""
        with self._lock:
            if time.monotonic() >= self._due:
                self._found = sorted({address for url in self._urls for address in addresses(url)})
                self._due = time.monotonic() + RESOLVE_SECONDS
            for url in self._found:
                # Not setdefault: a client costs 25 ms, which every request would pay.
                if url not in self._services:
                    self._services[url] = self._make(url)
            return {url: self._services[url] for url in self._found}


class PolicyReplicas:
    """Implements `Policy` over replicas."""

    def __init__(self, replicas: Replicas[PolicyService]) -> None:
        self._replicas = replicas

    def rollouts(self, request: RolloutRequest, weights: ArtefactRef) -> RolloutReply:
        """Raises Unavailable unless every replica has taken the weights, or if replies are of several versions."""
        services = self._replicas.current()
        if len(services) == 1:
            return next(iter(services.values())).rollouts(request, weights)
        places = spread([_key(prompt) for prompt in request.prompts], list(services))
        with ThreadPoolExecutor(len(services)) as pool:
            # A replica that cannot take the weights must not be found out in the middle of an iteration.
            list(pool.map(lambda service: service.ready(weights), services.values()))
            parts = {
                url: request.model_copy(update={"prompts": tuple(request.prompts[place] for place in own)})
                for url, own in places.items()
            }
            replies = dict(
                zip(parts, pool.map(lambda url: services[url].rollouts(parts[url], weights), parts), strict=True)
            )
        return _merged(len(request.prompts), places, replies)


class PrmReplicas:
    """Implements `Prm` over replicas."""

    def __init__(self, replicas: Replicas[PrmService]) -> None:
        self._replicas = replicas

    def score(self, request: ScoreRequest, weights: ArtefactRef) -> ScoreReply:
        services = self._replicas.current()
        return services[preference(request.question, list(services))[0]].score(request, weights)


def spread(keys: Sequence[str], replicas: Sequence[str]) -> dict[str, list[int]]:
    """Replica → places of the keys it gets, in order. Equal keys go to one replica even beyond the bound."""
    bound = math.ceil(SLACK * len(keys) / len(replicas))
    places: dict[str, list[int]] = {}
    chosen: dict[str, str] = {}
    for place, key in enumerate(keys):
        if key not in chosen:
            order = preference(key, replicas)
            chosen[key] = next((url for url in order if len(places.get(url, ())) < bound), order[0])
        places.setdefault(chosen[key], []).append(place)
    return places


def preference(key: str, replicas: Sequence[str]) -> list[str]:
    """Replicas from the first choice of a key to its last (highest random weight)."""
    return sorted(replicas, key=lambda url: hashlib.sha256(f"{url}\n{key}".encode()).digest())


def _key(prompt: Prompt) -> str:
    return f"{prompt.image.sha256}\n{prompt.question}"


def _merged(count: int, places: dict[str, list[int]], replies: dict[str, RolloutReply]) -> RolloutReply:
    versions = {reply.weight_version for reply in replies.values()}
    if len(versions) != 1:
        raise Unavailable(f"replicas answered with several weight versions ({', '.join(sorted(versions))}): ask again")
    samples: list[tuple[Response, ...]] = [()] * count
    for url, own in places.items():
        for place, responses in zip(own, replies[url].samples, strict=True):
            samples[place] = responses
    usages = [reply.usage for reply in replies.values()]
    usage = Usage(
        prompt_tokens=sum(one.prompt_tokens for one in usages),
        completion_tokens=sum(one.completion_tokens for one in usages),
        images_encoded=sum(one.images_encoded for one in usages),
    )
    return RolloutReply(weight_version=versions.pop(), samples=tuple(samples), usage=usage)
