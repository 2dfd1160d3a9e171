"""Which checkpoints `mstar serve` loads, and where it sends them."""

import json

import httpx2
import pytest

from mstar.api.policy import WeightsState
from mstar.api.runs import Checkpoint
from mstar.cli.serve import chosen
from mstar.client import Client, Endpoint
from mstar.errors import NotFound


def checkpoint(objective: str, iteration: int) -> Checkpoint:
    name = f"r-1/{objective}/{iteration}"
    return Checkpoint(
        id=name, objective=objective, iteration=iteration, sha256="a" * 64, weight_version=f"{name}@aa", global_step=1
    )


WARM, PRM, FIRST, SECOND = checkpoint("sft", 0), checkpoint("prm", 0), checkpoint("sft", 1), checkpoint("sft", 2)


def test_the_last_policy_is_served_unless_another_is_named() -> None:
    made = [WARM, PRM, FIRST, SECOND]
    assert chosen(made, None, "r-1") == [SECOND, PRM]
    assert chosen(made, 0, "r-1") == [WARM, PRM]
    assert chosen([WARM], None, "r-1") == [WARM]


def test_what_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(NotFound, match="no policy of iteration 7: it has 0, 1"):
        chosen([WARM, FIRST, PRM], 7, "r-1")
    with pytest.raises(NotFound, match="no checkpoint yet"):
        chosen([PRM], None, "r-1")


def test_each_checkpoint_goes_to_its_service_with_the_key_for_weights() -> None:
    sent: list[tuple[str, str, dict[str, str]]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append((str(request.url), request.headers["authorization"], json.loads(request.content)))
        state = WeightsState(weight_version="v", ready=True, model="m")
        return httpx2.Response(200, content=state.model_dump_json())

    endpoint = Endpoint(policy_url="http://policy", prm_url="http://prm", weights_admin_key="k")
    with Client(endpoint, httpx2.MockTransport(answer)) as client:
        client.load(SECOND)
        client.load(PRM)
    assert sent == [
        ("http://policy/v1/weights", "Bearer k", {"artefact": SECOND.id, "manifest_sha256": "a" * 64}),
        ("http://prm/v1/weights", "Bearer k", {"artefact": PRM.id, "manifest_sha256": "a" * 64}),
    ]
