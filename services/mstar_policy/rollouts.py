"""From a request to a reply: bounds on waiting work, images through the gate, then the engine."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from PIL.Image import Image

from mstar.api.policy import RolloutReply, RolloutRequest
from mstar.errors import InvalidInput, TooLarge, TooManyRequests
from mstar_artefacts.images import ImageStore
from mstar_models.images import ImageGate
from mstar_policy.engine import Engine, Heard

RETRY_AFTER_SECONDS = 5.0


class Rollouts:
    """Admits requests, resolves their images and has the engine sample."""

    def __init__(self, engine: Engine, gate: ImageGate, images: ImageStore, waiting_rows: int) -> None:
        self.engine = engine
        self._gate = gate
        self._images = images
        self._limit = waiting_rows
        self.rows = 0
        """Samples under way or waiting."""

    async def sample(self, request: RolloutRequest, heard: Heard | None = None) -> RolloutReply:
        """Samples for every prompt; `heard` is told of the first one's tokens as they come.

        Raises TooLarge for a request that could never be admitted, TooManyRequests while others leave no room, and
        what the image gate and the engine raise.
        """
        with self._admitted(sum(prompt.n for prompt in request.prompts)):
            _check_text(request)
            images = await asyncio.to_thread(self._resolve, request)
            return await self.engine.generate(request, images, heard)

    def _resolve(self, request: RolloutRequest) -> Sequence[Image]:
        self._images.bring(prompt.image.sha256 for prompt in request.prompts if prompt.image.sha256 is not None)
        return [self._gate.resolve(prompt.image, self._images) for prompt in request.prompts]

    @contextmanager
    def _admitted(self, rows: int) -> Iterator[None]:
        if rows > self._limit:
            raise TooLarge(f"request asks for {rows} samples; at most {self._limit} fit in one", field="prompts")
        if self.rows + rows > self._limit:
            raise TooManyRequests(f"{self.rows} samples are under way already", retry_after=RETRY_AFTER_SECONDS)
        self.rows += rows
        try:
            yield
        finally:
            self.rows -= rows


def _check_text(request: RolloutRequest) -> None:
    """Refuse text that is no Unicode: JSON can carry half of a surrogate pair, tokenizers cannot."""
    for index, prompt in enumerate(request.prompts):
        for name in ("question", "reference_answer", "prefix"):
            try:
                (getattr(prompt, name) or "").encode()
            except UnicodeEncodeError:
                field = f"prompts.{index}.{name}"
                raise InvalidInput(f"{field} holds a lone surrogate: send valid Unicode", field=field) from None
