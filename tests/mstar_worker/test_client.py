"""What the step client remembers between its calls: how far it has followed a step's inputs."""

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from handler_server import HandlerServer, QuietHandler
from mstar.api.steps import Claim
from mstar.recipes import Recipe
from mstar.stages import StepSpec
from mstar.stages.prepare import PrepareParams
from mstar.steps import DoneResult
from mstar_worker.client import StepClient

CLAIM = Claim(
    step_id="r-1-000009",
    run_id="r-1",
    epoch=3,
    lease_seconds=20,
    step=StepSpec(name="it01/train", params=PrepareParams()),
    recipe=Recipe(name="any"),
    inputs={},
)
COMMITTED = {4: "it01/select/0000", 7: "it01/select/0001"}
"""Event → the input that it brought."""


class Coordinator(QuietHandler):
    """Tells the inputs after an event, and notes how it was asked."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        after = int(parse_qs(urlsplit(self.path).query)["after"][0])
        left = {"artefact": None, "result": DoneResult().model_dump(mode="json")}
        come = {name: left for event, name in COMMITTED.items() if event > after}
        self.reply(200, json.dumps({"inputs": come, "seen": max(COMMITTED), "coming": True}).encode())


@pytest.fixture
def server() -> Iterator[HandlerServer]:
    Coordinator.asked = []
    with HandlerServer(Coordinator) as server:
        yield server


def test_what_has_come_is_told_once(server: HandlerServer) -> None:
    client = StepClient(server.url)
    ask = client.follow(CLAIM)
    assert set(ask().inputs) == set(COMMITTED.values())
    assert ask().inputs == {}
    assert set(client.follow(CLAIM)().inputs) == set(COMMITTED.values())
    client.close()
    path = "/internal/v1/steps/r-1-000009/arrivals?epoch=3&after="
    assert Coordinator.asked == [f"{path}0", f"{path}7", f"{path}0"]
