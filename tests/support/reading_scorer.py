"""A scorer that reads its scores from the text, and a request whose steps end in theirs."""

import asyncio
import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL.Image import Image

from mstar.api.policy import WeightsState
from mstar.errors import TooManyRequests, Unavailable, WeightVersionMismatch
from mstar.layout import STEP_SEPARATOR
from mstar.steps import ArtefactRef
from mstar_prm.scorer import Segments, WorkCounts
from policy_bench import png

DATA = base64.b64encode(png()).decode()
IMAGE = {"data": DATA}


class ReadingScorer:
    """A scorer for which every segment ends in its own score."""

    def __init__(self, version: str = "") -> None:
        self.version = version
        self.separator = STEP_SEPARATOR
        self.read_behind_steps: list[str] = []
        self.full = False
        self.turn = asyncio.Lock()
        self.scored = 0
        self.work = WorkCounts()

    def weights(self) -> WeightsState:
        name = self.version.partition("@")[0]
        ready = bool(self.version)
        return WeightsState(
            weight_version=self.version, ready=ready, model=name, vocabulary="mine", step_separator=self.separator
        )

    async def load(self, ref: ArtefactRef) -> None:
        self.version = ref.version

    async def load_folder(self, folder: Path) -> None:
        self.version = f"{folder.name}@000000000000"

    async def sleep(self) -> None:
        self.version = ""

    async def score(
        self,
        question: str,
        images: Sequence[Image],
        responses: Sequence[Segments],
        version: str | None,
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> tuple[str, list[tuple[float, ...]]]:
        if not self.version:
            raise Unavailable("no weights", retry_after=2)
        if version not in (None, self.version):
            raise WeightVersionMismatch("another version", field="model_version")
        if self.full:
            raise TooManyRequests("later", retry_after=2)
        async with self.turn:
            self.scored += 1
            self.read_behind_steps.append(separator)
            return self.version, [tuple(map(_said, response)) for response in responses]

    async def count_tokens(
        self,
        question: str,
        images: Sequence[Image],
        responses: Sequence[Segments],
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> int:
        return 10 * len(responses)

    async def close(self) -> None:
        pass


def _said(segment: str | tuple[int, ...]) -> float:
    # The steps that a PRM without a probe is tried with end in whole numbers.
    return min(1.0, float(segment.split()[-1])) if isinstance(segment, str) else len(segment) / 10


def body(**fields: Any) -> dict[str, Any]:
    """A request with two responses, and with these fields in place of its own."""
    responses = [{"text": "See 0.9\n\nSum 0.4\n\n## Answer\n\n0.7"}, {"steps": ["See 0.8", "## Answer\n\n0.6"]}]
    return {"question": "How many bars are there?", "images": [IMAGE], "responses": responses, **fields}
