"""A policy on a real socket that kills its caller when it is asked about one question; the others get an answer."""

import contextlib
from collections.abc import Callable

from handler_server import HandlerServer, QuietHandler
from mstar.api.policy import Prompt, RolloutReply, RolloutRequest, Usage, WeightsState, WeightsUpdate
from mstar.steps import ArtefactRef
from mstar.types import Response

PLACE = 2
"""Which question of the first request is the one."""


class KillingPolicy(HandlerServer):
    """While entered, answers at `url`. `kill` ends whoever asks."""

    def __init__(self, kill: Callable[[], None]) -> None:
        self.kills = 0
        self.poison: tuple[str, str | None] | None = None
        self._kill = kill
        self._loaded = ""
        super().__init__(self._handler())

    def load(self, body: bytes) -> str:
        update = WeightsUpdate.model_validate_json(body)
        self._loaded = ArtefactRef(id=update.artefact, sha256=update.manifest_sha256).version
        return WeightsState(weight_version=self._loaded, ready=True, model="m").model_dump_json()

    def sample(self, body: bytes) -> str | None:
        """None where the caller was killed."""
        request = RolloutRequest.model_validate_json(body)
        asked = [_key(prompt) for prompt in request.prompts]
        self.poison = self.poison or asked[PLACE]
        if self.poison in asked:
            self.kills += 1
            self._kill()
            return None
        answer = Response(text="one step\n\n## Answer\n\n1", token_ids=(1, 2))
        samples = tuple((answer,) * prompt.n for prompt in request.prompts)
        return RolloutReply(
            weight_version=request.weight_version or self._loaded, samples=samples, usage=Usage()
        ).model_dump_json()

    def _handler(self) -> type[QuietHandler]:
        policy = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                self._send(policy.load(self.body()))

            def do_POST(self) -> None:
                self._send(policy.sample(self.body()))

            def _send(self, content: str | None) -> None:
                if content is None:
                    # Until the caller is dead: one that saw its connection end before that would ask once more.
                    with contextlib.suppress(OSError):
                        self.rfile.read(1)
                    self.close_connection = True
                    return
                self.reply(200, content.encode())

        return Handler


def _key(prompt: Prompt) -> tuple[str, str | None]:
    return prompt.question, prompt.images[0].sha256
