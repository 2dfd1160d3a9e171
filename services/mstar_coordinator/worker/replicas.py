"""Several replicas of a model service as one service: a question keeps to its replica, where its prefix is cached.

Questions are spread by rendezvous hashing with a bound on the load, so that a replica that comes or goes moves few of
them and none gets much more than its share. Sampling starts when all replicas present have loaded the weights; one
that joins later loads them before it gets questions, and nothing waits for it. What this leaves out: requests to one
replica, and retries (`clients`).
"""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, Protocol, TypeVar

import structlog

from mstar.api.policy import Prompt, RolloutReply, RolloutRequest, Usage, WeightsState
from mstar.api.prm import ScoreReply, ScoreRequest
from mstar.errors import MstarError, Unavailable
from mstar.gpu_memory import GpuMemory, together
from mstar.steps import ArtefactRef
from mstar.tracing import JoinedThreads
from mstar_coordinator.addresses import addresses
from mstar_coordinator.worker.clients import PolicyService, PrmService

SLACK = 1.25
"""Load that a replica takes at most, as a multiple of the mean."""
RESOLVE_SECONDS = 5.0
GONE_SECONDS = 3600.0
"""How long the client of a replica is kept that no name leads to: longer than whoever was given it may still ask.

A pod that ends leaves its name at once and answers what it has in hand.
"""

log = structlog.get_logger()

Part = TypeVar("Part")
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

    def __init__(
        self,
        urls: Sequence[str],
        make: Callable[[str], Service],
        resolve_seconds: float = RESOLVE_SECONDS,
        resolve: Callable[[str], Sequence[str]] = addresses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`resolve_seconds`: how long the addresses behind the host names are kept before they are resolved again."""
        self._urls = urls
        self._resolve_seconds = resolve_seconds
        self._make: Callable[[str], Service] = make
        self._resolve = resolve
        self._clock = clock
        self._services: dict[str, Service] = {}
        self._found: list[str] = []
        self._seen: dict[str, float] = {}
        """When a name led to a replica last."""
        self._due = -math.inf
        self._lock = Lock()

    def give_up(self) -> None:
        """End all requests under way."""
        with self._lock:
            services = list(self._services.values())
        for service in services:
            service.give_up()

    def gpu_memory(self) -> GpuMemory | None:
        """Of the GPUs of all replicas present now. Raises what a request raises."""
        return together(service.gpu_memory() for service in self.current().values())

    def current(self) -> dict[str, Service]:
        """URL → service of every replica present now."""
        with self._lock:
            now = self._clock()
            if now >= self._due:
                self._found = sorted({address for url in self._urls for address in self._resolve(url)})
                self._due = now + self._resolve_seconds
                self._seen |= dict.fromkeys(self._found, now)
                self._close_gone(now)
            for url in self._found:
                # Not setdefault: a client costs 25 ms, which every request would pay.
                if url not in self._services:
                    self._services[url] = self._make(url)
            return {url: self._services[url] for url in self._found}

    def _close_gone(self, now: float) -> None:
        """Close the clients of replicas that are gone: every restart of a pod gives it another address."""
        for url in [one for one, seen in self._seen.items() if now - seen > GONE_SECONDS]:
            del self._seen[url]
            if (service := self._services.pop(url, None)) is not None:
                service.close()


class PolicyReplicas:
    """Implements `Policy` over replicas."""

    def __init__(self, replicas: Replicas[PolicyService]) -> None:
        self._replicas = replicas
        self._lock = Lock()
        self._version = ""
        self._admitted: set[str] = set()
        """Replicas that have taken the weights of that version."""
        self._joining: set[str] = set()
        self._newcomers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="newcomer")

    def rollouts(self, request: RolloutRequest, weights: ArtefactRef) -> RolloutReply:
        """Raises Unavailable unless every replica has taken the weights, or if replies are of several versions."""
        found = self._replicas.current()
        # The client pushes the weights where they are missing, and one replica has nobody to agree with.
        if len(found) == 1:
            return next(iter(found.values())).rollouts(request, weights)
        services = self._serving(found, weights)
        places = spread([_key(prompt) for prompt in request.prompts], list(services))
        parts = {
            url: request.model_copy(update={"prompts": tuple(request.prompts[place] for place in own)})
            for url, own in places.items()
        }
        pool = JoinedThreads(len(parts))
        try:
            # A thread for each replica, since a part takes as long as the slowest of its samples.
            replies = list(pool.map(lambda url: services[url].rollouts(parts[url], weights), parts))
        finally:
            # A stop signal must not wait for replies that nobody needs any more.
            pool.shutdown(wait=False, cancel_futures=True)
        return _merged(len(request.prompts), places, dict(zip(parts, replies, strict=True)))

    def _serving(self, found: dict[str, PolicyService], weights: ArtefactRef) -> dict[str, PolicyService]:
        """The replicas to ask. Those that are there when a version is first asked for must all take it."""
        with self._lock:
            # Where none of those that have taken the version is left, the ones that are there begin anew.
            known = self._version == weights.version and not self._admitted.isdisjoint(found)
            if known:
                self._invite({url: found[url] for url in found.keys() - self._admitted - self._joining}, weights)
                return {url: found[url] for url in found if url in self._admitted}
        # A replica that cannot load the weights must fail here, and not in the middle of an iteration.
        with JoinedThreads(len(found)) as pool:
            states = dict(zip(found, pool.map(lambda one: one.ready(weights), found.values()), strict=True))
        _require_equal(states)
        with self._lock:
            self._version, self._admitted = weights.version, set(found)
        return found

    def _invite(self, newcomers: dict[str, PolicyService], weights: ArtefactRef) -> None:
        """Load the weights into new replicas in the background; one that does not answer yet is tried again later."""

        def join(url: str, service: PolicyService) -> None:
            try:
                service.push(weights)
                taken = True
            except MstarError as error:
                log.info("replica not ready", service=url, detail=error.detail)
                taken = False
            with self._lock:
                self._joining.discard(url)
                # The version may have changed while the weights were loading.
                if taken and self._version == weights.version:
                    self._admitted.add(url)

        for url, service in newcomers.items():
            # `_serving` holds the lock, which `join` takes in its own thread.
            self._joining.add(url)
            self._newcomers.submit(join, url, service)


class PrmReplicas:
    """Implements `Prm` over replicas."""

    def __init__(self, replicas: Replicas[PrmService]) -> None:
        self._replicas = replicas

    def score(self, request: ScoreRequest, weights: ArtefactRef) -> ScoreReply:
        """Step scores from the replica that the question belongs to."""
        services = self._replicas.current()
        return services[preference(request.question, list(services))[0]].score(request, weights)


def spread(keys: Sequence[str], replicas: Sequence[str]) -> dict[str, list[int]]:
    """Replica → places of the keys it gets, in order. Equal keys go to one replica even beyond the bound."""
    # Consistent hashing with bounded loads (Mirrokni et al., arXiv 1608.01350), over rendezvous hashing.
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
    return "\n".join([*(str(image.sha256) for image in prompt.images), prompt.question])


def _require_equal(states: Mapping[str, WeightsState]) -> None:
    """Raises Unavailable when replicas hold different tensors under one version."""
    sums = {state.checksum for state in states.values() if state.checksum}
    if len(sums) > 1:
        held = ", ".join(f"{url} {state.checksum[:12]}" for url, state in states.items() if state.checksum)
        raise Unavailable(f"replicas hold different weights under one version ({held}): restart those that are wrong")


def _merged(count: int, places: dict[str, list[int]], replies: dict[str, RolloutReply]) -> RolloutReply:
    versions = {reply.weight_version for reply in replies.values()}
    if len(versions) != 1:
        raise Unavailable(f"replicas answered with several weight versions ({', '.join(sorted(versions))}): ask again")
    samples = _in_order(count, places, {url: reply.samples for url, reply in replies.items()})
    told = {url: reply.token_logprobs for url, reply in replies.items() if reply.token_logprobs is not None}
    # From all replicas or from none: those of some would leave gaps.
    logprobs = _in_order(count, places, told) if told.keys() == replies.keys() else None
    usages = [reply.usage for reply in replies.values()]
    usage = Usage(
        prompt_tokens=sum(one.prompt_tokens for one in usages),
        completion_tokens=sum(one.completion_tokens for one in usages),
        images_encoded=sum(one.images_encoded for one in usages),
    )
    refused = [
        one.model_copy(update={"index": places[url][one.index]})
        for url, reply in replies.items()
        for one in reply.refused
    ]
    vocabularies = {reply.vocabulary for reply in replies.values() if reply.vocabulary}
    return RolloutReply(
        weight_version=versions.pop(),
        samples=samples,
        token_logprobs=logprobs,
        # Token ids of several vocabularies cannot be told apart, so that only the text counts then.
        vocabulary=vocabularies.pop() if len(vocabularies) == 1 else "",
        usage=usage,
        refused=tuple(sorted(refused, key=lambda one: one.index)),
    )


def _in_order(count: int, places: dict[str, list[int]], parts: Mapping[str, Sequence[Part]]) -> tuple[Part, ...]:
    """Each replica's results for its own prompts, put into the order of the whole request."""
    found = {place: one for url, own in places.items() for place, one in zip(own, parts[url], strict=True)}
    return tuple(found[place] for place in range(count))
