"""The interface of an inference engine. Adapters: `hf_engine` (transformers) and `vllm_engine`.

An engine encodes, samples and counts; images arrive decoded, and requests are admitted before. The conformance tests
define what every adapter must do.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mstar.api.policy import Usage, WeightsState
from mstar.steps import ArtefactRef
from mstar.types import FinishReason, Response
from mstar_models.chat import Turn
from mstar_policy.text import Vocabulary

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class EnginePrompt:
    """One conversation, and how many samples of the next turn to draw."""

    turns: tuple[Turn, ...]
    images: "tuple[Image, ...]" = ()
    """Images of the turns, in their order."""
    prefix: str = ""
    """Beginning of the response that every sample continues, as text."""
    prefix_ids: tuple[int, ...] = ()
    """The same as tokens that were sampled; at most one of the two is given."""
    n: int = 1
    temperature: float = 1.0
    """0 is greedy decoding."""
    seed: int = 0


@dataclass(frozen=True)
class SamplingRequest:
    """Prompts to sample from one weight version."""

    prompts: tuple[EnginePrompt, ...]
    max_tokens: int = 512
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    """A response ends before the first of these strings."""
    ignore_eos: bool = False
    """Never sample the end of the turn, so that only length or a stop string ends a response."""
    top_logprobs: int = 0
    """How many of the most likely tokens to name at every place."""
    weight_version: str | None = None
    """Refuse the request when another version is loaded; None accepts any."""


Likely = tuple[tuple[int, float], ...]
"""The most likely tokens at one place, each with its log-probability in nats, the likeliest first."""


@dataclass(frozen=True)
class Delta:
    """Tokens by which one sample of a prompt has grown."""

    sample: int
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Log-probability of each token, in nats."""
    finish_reason: FinishReason | None = None
    """With the last tokens; with STOP, `token_ids` ends with the end-of-turn token or completes a stop string."""
    likely: tuple[Likely, ...] = ()
    """At the place of each of the tokens, where they were asked for."""


@dataclass(frozen=True)
class TokenView:
    """A prompt as the model gets it, without its prefix."""

    ids: tuple[int, ...]
    """Place holders of images expanded."""
    positions: tuple[tuple[int, ...], ...] = ()
    """Positions of the ids, on one axis or on three; empty where the engine keeps them to itself."""


@dataclass(frozen=True)
class Generation:
    """Samples in the order of the prompts; every one comes from `weight_version`."""

    weight_version: str
    samples: tuple[tuple[Response, ...], ...]
    token_logprobs: tuple[tuple[tuple[float, ...], ...], ...]
    """Log-probabilities of each sample's `token_ids`, in nats."""
    likely: tuple[tuple[tuple[Likely, ...], ...], ...] = ()
    """At the place of each of the tokens, where they were asked for."""
    usage: Usage = field(default_factory=Usage)
    vocabulary: Vocabulary | None = None
    """What the token ids mean."""


TokenCallback = Callable[[Delta], object]


class Engine(Protocol):
    """Samples from one set of weights at a time."""

    def weights(self) -> WeightsState:
        """The loaded weights; the version is empty before the first load."""

    def vocabulary(self) -> Vocabulary:
        """Tokens and text of the loaded model. Raises Unavailable without weights."""

    async def load(self, ref: ArtefactRef) -> None:
        """Serve a checkpoint artefact from the next batch on.

        Running requests end on the old weights. Raises NotFound, CorruptArtefact or InvalidInput, and the old weights
        go on serving.
        """

    async def load_folder(self, folder: Path) -> None:
        """Serve a plain model folder, under a version made from its content. Raises InvalidInput."""

    async def sleep(self) -> None:
        """Finish running requests, drop the weights and free the device's memory. A load ends the sleep."""

    async def generate(self, request: SamplingRequest, on_tokens: TokenCallback | None = None) -> Generation:
        """Samples for every prompt.

        `on_tokens` is called in the event loop's thread with the first prompt's tokens as they are sampled, all of them
        before the reply is there.

        A sample depends on weights, prompt, seed and its index, not on what else is decoded beside it (up to the
        rounding of the arithmetic). No special token is ever sampled. Cancelling drops work that has not begun. Raises
        Unavailable without weights, WeightVersionMismatch, or InvalidInput for a prompt that the model cannot take.
        """

    async def see(self, prompt: EnginePrompt) -> TokenView:
        """What the model gets for a prompt, to compare it with others'. Raises Unavailable without weights."""

    async def close(self) -> None:
        """Finish the running batch and release the engine."""
