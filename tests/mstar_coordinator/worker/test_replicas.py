"""Replicas as one service: questions keep to theirs, weights reach all, replies come back in order."""

from collections import Counter

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator_bench import HandClock
from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutRequest
from mstar.errors import Unavailable
from mstar.gpu_memory import GpuMemory
from mstar.steps import ArtefactRef
from mstar_coordinator.worker.clients import PolicyService
from mstar_coordinator.worker.replicas import GONE_SECONDS, SLACK, PolicyReplicas, Replicas, preference, spread
from work_bench import RulePolicy

WEIGHTS = ArtefactRef(id="r-1/it01/train", sha256="b" * 64)
NEXT = ArtefactRef(id="r-1/it02/train", sha256="c" * 64)
URLS = ("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3")


@pytest.fixture
def policies() -> dict[str, RulePolicy]:
    return {url: RulePolicy() for url in URLS}


@pytest.fixture
def replicas(policies: dict[str, RulePolicy]) -> PolicyReplicas:
    def make(url: str) -> PolicyService:
        return PolicyService(url, transport=policies[url], patience_seconds=0.5)

    return PolicyReplicas(Replicas(URLS, make))


def request(count: int) -> RolloutRequest:
    image = ImageInput(sha256="0" * 64)
    return RolloutRequest(
        prompts=tuple(
            Prompt(question=f"How many is {place}?", images=(image,), n=2, seed=place) for place in range(count)
        )
    )


def test_replies_are_those_of_one_service_in_order(replicas: PolicyReplicas, policies: dict[str, RulePolicy]) -> None:
    alone = PolicyService("http://127.0.0.1:9", transport=RulePolicy())
    assert replicas.rollouts(request(20), WEIGHTS) == alone.rollouts(request(20), WEIGHTS)
    assert sum(len(one.prompts) for policy in policies.values() for one in policy.rollouts) == 20


def test_refused_prompts_keep_their_places(replicas: PolicyReplicas, policies: dict[str, RulePolicy]) -> None:
    alone = RulePolicy()
    for policy in (alone, *policies.values()):
        policy.too_long = "7?"
    reply = replicas.rollouts(request(20), WEIGHTS)
    assert [one.index for one in reply.refused] == [7, 17]
    assert reply == PolicyService("http://127.0.0.1:9", transport=alone).rollouts(request(20), WEIGHTS)


def test_a_client_is_made_once_for_each_replica() -> None:
    made: list[str] = []

    def make(url: str) -> PolicyService:
        made.append(url)
        return PolicyService(url, transport=RulePolicy())

    replicas = Replicas(URLS, make)
    assert replicas.current() == replicas.current()
    assert made == list(URLS)


def test_clients_of_replicas_that_are_gone_are_closed_once_nobody_can_be_asking() -> None:
    closed: list[str] = []

    class Seen(PolicyService):
        def close(self) -> None:
            closed.append(self._target.shown)
            super().close()

    clock, there = HandClock(), list(URLS)
    replicas = Replicas(
        ("http://policy",), lambda url: Seen(url, transport=RulePolicy()), resolve=lambda _: there, clock=clock
    )
    assert list(replicas.current()) == list(URLS)
    del there[0]
    for _ in range(2):
        clock.pass_(GONE_SECONDS / 2)
        assert list(replicas.current()) == list(URLS[1:]) and not closed
    clock.pass_(10)
    replicas.current()
    assert len(closed) == 1 and closed[0].startswith(URLS[0])
    # It may come back under the same address.
    there.append(URLS[0])
    clock.pass_(10)
    assert set(replicas.current()) == set(URLS)


def test_every_replica_has_the_weights_before_any_samples(
    replicas: PolicyReplicas, policies: dict[str, RulePolicy]
) -> None:
    policies[URLS[1]].failures = [httpx2.ConnectError("refused")] * 50
    with pytest.raises(Unavailable):
        replicas.rollouts(request(20), WEIGHTS)
    assert not any(policy.rollouts for policy in policies.values())


def test_a_replica_that_came_back_empty_gets_the_weights_first(
    replicas: PolicyReplicas, policies: dict[str, RulePolicy]
) -> None:
    replicas.rollouts(request(6), WEIGHTS)
    policies[URLS[2]].loaded = None
    assert replicas.rollouts(request(6), WEIGHTS).weight_version == WEIGHTS.version
    assert policies[URLS[2]].loaded == WEIGHTS.version


def test_replicas_that_hold_different_tensors_are_no_service(
    replicas: PolicyReplicas, policies: dict[str, RulePolicy]
) -> None:
    for place, policy in enumerate(policies.values()):
        policy.checksum = "same" if place else ""
    assert replicas.rollouts(request(3), WEIGHTS), "one kind of engine tells of no checksum"
    policies[URLS[1]].checksum = "another"
    with pytest.raises(Unavailable, match="replicas hold different weights"):
        replicas.rollouts(request(3), NEXT)
    assert not any(one.weight_version == NEXT.version for policy in policies.values() for one in policy.rollouts)


def test_the_memory_of_the_gpus_is_that_of_all_replicas_that_have_some(policies: dict[str, RulePolicy]) -> None:
    replicas = Replicas(URLS, lambda url: PolicyService(url, transport=policies[url]))
    assert replicas.gpu_memory() is None
    for url in URLS[1:]:
        policies[url].gpu_memory = GpuMemory(used=3, total=4)
    assert replicas.gpu_memory() == GpuMemory(used=6, total=8)


def test_log_probabilities_come_in_order_too(replicas: PolicyReplicas) -> None:
    asked = request(20).model_copy(update={"logprobs": True})
    reply = replicas.rollouts(asked, WEIGHTS)
    assert reply.token_logprobs == tuple(((-1.0 * place,),) * 2 for place in range(20))
    assert replicas.rollouts(request(20), WEIGHTS).token_logprobs is None


def test_one_that_joins_late_takes_the_weights_first_and_nobody_waits_for_it(policies: dict[str, RulePolicy]) -> None:
    urls = list(URLS[:2])

    def make(url: str) -> PolicyService:
        return PolicyService(url, transport=policies[url], patience_seconds=0.5)

    replicas = PolicyReplicas(Replicas(urls, make, resolve_seconds=0))
    replicas.rollouts(request(20), WEIGHTS)
    newcomer = policies[URLS[2]]
    newcomer.failures = [httpx2.ConnectError("it is still starting")] * 3
    urls.append(URLS[2])
    while not newcomer.rollouts:
        reply = replicas.rollouts(request(20), WEIGHTS)
        assert reply.weight_version == WEIGHTS.version
    assert newcomer.requests[:4] == ["PUT /v1/weights"] * 4
    assert newcomer.loaded == WEIGHTS.version


def test_work_goes_on_with_those_that_stay(policies: dict[str, RulePolicy]) -> None:
    urls = list(URLS)

    def make(url: str) -> PolicyService:
        return PolicyService(url, transport=policies[url], patience_seconds=0.5)

    replicas = PolicyReplicas(Replicas(urls, make, resolve_seconds=0))
    replicas.rollouts(request(20), WEIGHTS)
    policies[urls.pop()].failures = [httpx2.ConnectError("it is gone")] * 99
    assert len(replicas.rollouts(request(20), WEIGHTS).samples) == 20


@given(st.integers(1, 5), st.lists(st.text(max_size=6), min_size=1, max_size=60, unique=True))
def test_no_replica_gets_much_more_than_its_share(count: int, keys: list[str]) -> None:
    urls = [f"http://10.0.0.{place}:80" for place in range(count)]
    places = spread(keys, urls)
    assert sorted(place for own in places.values() for place in own) == list(range(len(keys)))
    assert max(map(len, places.values())) <= SLACK * len(keys) / count + 1


def test_temperatures_of_a_question_stay_together() -> None:
    places = spread(["q1"] * 14 + ["q2"] * 14, URLS)
    assert sorted(map(tuple, places.values())) == sorted([tuple(range(14)), tuple(range(14, 28))]) or len(places) == 1


def test_a_replica_that_goes_moves_only_its_own_questions() -> None:
    keys = [f"q{place}" for place in range(300)]
    before = {key: preference(key, URLS)[0] for key in keys}
    after = {key: preference(key, URLS[:2])[0] for key in keys}
    assert all(after[key] == url for key, url in before.items() if url != URLS[2])
    assert min(Counter(before.values()).values()) > 70
