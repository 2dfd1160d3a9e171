"""The interface of an inference engine. Adapters: `hf_engine` (transformers) and `vllm_engine`.

An engine encodes, samples and counts; images arrive decoded and requests admitted. The conformance tests say what every
adapter must keep to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mstar.api.policy import RolloutReply, RolloutRequest, WeightsState
from mstar.steps import ArtefactRef
from mstar.types import FinishReason

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Delta:
    """Tokens by which one sample of a prompt has grown."""

    sample: int
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Of each of the tokens."""
    finish_reason: FinishReason | None = None
    """With the last tokens; `token_ids` ends with the end-of-turn token when it is STOP."""


Heard = Callable[[Delta], object]


class Engine(Protocol):
    """Samples from one set of weights at a time."""

    def weights(self) -> WeightsState:
        """What is loaded; the version is empty before the first load."""

    async def load(self, ref: ArtefactRef) -> None:
        """Serve a checkpoint artefact from the next batch on.

        Running requests end on the old weights. Raises NotFound, CorruptArtefact or InvalidInput, and the old weights
        go on serving.
        """

    async def load_folder(self, folder: Path) -> None:
        """Serve a plain model folder, under a version made from its content. Raises InvalidInput."""

    async def sleep(self) -> None:
        """Finish what runs, forget the weights and give the device's memory back. A load ends the sleep."""

    async def generate(
        self, request: RolloutRequest, images: Sequence["Image"], heard: Heard | None = None
    ) -> RolloutReply:
        """Samples for every prompt, `images` being theirs in order.

        `heard` is called in the event loop's thread with the first prompt's tokens as they are sampled, all of them
        before the reply is there.

        A sample depends on weights, prompt, seed and its index, not on what else is decoded beside it (up to the
        rounding of the arithmetic). No special token is ever sampled. Cancelling drops work that has not begun. Raises
        Unavailable without weights, WeightVersionMismatch, or InvalidInput for a prompt beyond the model's context.
        """

    def read(self, tokens: Sequence[int]) -> str:
        """Text of tokens of the loaded vocabulary, a special token by its name."""

    async def close(self) -> None:
        """Finish the running batch and release the engine."""
