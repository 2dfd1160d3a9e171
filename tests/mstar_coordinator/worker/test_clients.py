"""Calls to the model services: weights are pushed when a refusal asks for them, and a restart is waited out."""

from collections.abc import Callable

import httpx2
import pytest

from mstar.api.images import ImageInput
from mstar.api.policy import Prompt, RolloutRequest
from mstar.errors import CorruptArtefact, InvalidInput, Unavailable
from mstar.steps import ArtefactRef
from mstar_coordinator.worker.clients import PolicyService
from work_bench import RulePolicy

OLD = ArtefactRef(id="r-1/warmup/train", sha256="a" * 64)
NEW = ArtefactRef(id="r-1/it01/train", sha256="b" * 64)
REQUEST = RolloutRequest(prompts=(Prompt(question="How many is 7?", images=(ImageInput(sha256="0" * 64),), n=3),))
ROLLOUT, PUSH = "POST /v1/rollouts", "PUT /v1/weights"


@pytest.fixture
def policy() -> RulePolicy:
    return RulePolicy()


@pytest.fixture
def ask(policy: RulePolicy) -> Callable[[ArtefactRef], str]:
    """Ask for a rollout of some weights and return the version that replied."""
    service = PolicyService("http://policy", transport=policy, patience_seconds=1.0)
    return lambda weights: service.rollouts(REQUEST, weights).weight_version


def test_a_service_without_weights_gets_them(policy: RulePolicy, ask: Callable[[ArtefactRef], str]) -> None:
    assert ask(OLD) == OLD.version
    assert policy.requests == [ROLLOUT, PUSH, ROLLOUT]


def test_weights_that_are_loaded_are_not_pushed(policy: RulePolicy, ask: Callable[[ArtefactRef], str]) -> None:
    policy.loaded = OLD.version
    assert ask(OLD) == OLD.version
    assert policy.requests == [ROLLOUT]


def test_other_weights_are_replaced(policy: RulePolicy, ask: Callable[[ArtefactRef], str]) -> None:
    policy.loaded = OLD.version
    assert ask(NEW) == NEW.version
    assert policy.requests == [ROLLOUT, PUSH, ROLLOUT]


def test_a_restart_is_waited_out(policy: RulePolicy, ask: Callable[[ArtefactRef], str]) -> None:
    policy.failures = [httpx2.ReadError("gone"), httpx2.ConnectError("refused"), httpx2.ConnectError("refused")]
    assert ask(OLD) == OLD.version


def test_an_artefact_with_another_manifest_than_was_committed_is_damage_and_not_bad_input() -> None:
    """Bad input would end the run for good; damage is told with the command that makes the artefact again."""

    def refuse(_: httpx2.Request) -> httpx2.Response:
        error = InvalidInput("manifest_sha256: the manifest has another hash", field="manifest_sha256")
        return httpx2.Response(error.status, json=error.problem())

    service = PolicyService("http://policy", transport=httpx2.MockTransport(refuse), patience_seconds=1.0)
    with pytest.raises(CorruptArtefact, match=f"artefact {OLD.id} is not what was committed: manifest_sha256"):
        service.push(OLD)


def test_patience_ends(policy: RulePolicy, ask: Callable[[ArtefactRef], str]) -> None:
    policy.failures = [httpx2.ConnectError("refused")] * 50
    with pytest.raises(Unavailable, match=r"nothing answers at http://policy: .* set MSTAR_WORKER_POLICY_URL"):
        ask(OLD)


def test_what_a_retry_cannot_mend_is_raised_at_once() -> None:
    strict = StrictPolicy()
    service = PolicyService("http://policy", transport=strict)
    with pytest.raises(InvalidInput, match="too long"):
        service.rollouts(REQUEST, OLD)
    assert strict.requests == [ROLLOUT]


def test_a_request_that_is_given_up_is_not_tried_again() -> None:
    service = PolicyService("http://policy", transport=(leaving := LeavingPolicy()), patience_seconds=60)
    leaving.leave = service.give_up
    with pytest.raises(Unavailable):
        service.rollouts(REQUEST, OLD)
    assert leaving.requests == [ROLLOUT]


class LeavingPolicy(RulePolicy):
    """Requests of whom are given up while it works."""

    leave: Callable[[], None]

    def answer(self, path: str, body: bytes) -> str:
        self.leave()
        raise Unavailable("the connection broke")


def test_a_request_of_prompts_that_are_too_long_names_each() -> None:
    class Short(RulePolicy):
        def answer(self, path: str, body: bytes) -> str:
            raise InvalidInput("prompts.0 has 900 tokens, the model's context is 512", field="prompts.0")

    service = PolicyService("http://policy", transport=Short())
    both = RolloutRequest(prompts=REQUEST.prompts * 2)
    reply = service.rollouts(both, OLD)
    assert (reply.weight_version, reply.samples) == (OLD.version, ((), ()))
    assert [one.index for one in reply.refused] == [0, 1]


class StrictPolicy(RulePolicy):
    """Finds fault with every request."""

    def answer(self, path: str, body: bytes) -> str:
        raise InvalidInput("prompts.0.question: too long", field="prompts.0.question")
