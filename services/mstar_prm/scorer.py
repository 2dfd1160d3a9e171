"""The interface of a scorer. Adapters: `hf_scorer` (transformers, in this process) and `vllm_scorer`.

A scorer gets segments, already cut, and returns a number for each. A response's score, which is the least of them, is
made in `routes`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mstar.api.policy import WeightsState
from mstar.errors import Unavailable
from mstar.layout import STEP_SEPARATOR
from mstar.steps import ArtefactRef
from mstar_web.loads import NO_WEIGHTS

if TYPE_CHECKING:
    from PIL.Image import Image

Texts = tuple[str, ...]
"""The steps of a response."""
Pieces = tuple[tuple[int, ...], ...]
"""The same as the token ids that a policy with the same vocabulary sampled, empty for a step that ends within the same
token as the one before it."""
Segments = Texts | Pieces


def no_weights() -> Unavailable:
    """The error of every request that comes before the first load."""
    return Unavailable(NO_WEIGHTS, retry_after=2)


def pieces(
    place: int,
    segments: Segments,
    tokenizer: Any,
    encode: Callable[[Texts], list[tuple[int, ...]]],
    size: int | None = None,
) -> list[tuple[int, ...]]:
    """Token ids of each step: those that were sampled, or what `encode` makes of the texts.

    `size`: rows of the model's embeddings. Raises InvalidInput, naming the place of the response, for a token that no
    policy samples.
    """
    texts = tuple(one for one in segments if isinstance(one, str))
    if texts:
        return encode(texts)
    # Here, since it brings torch: the service's app is built before anything of it is needed.
    from mstar_models.encoding import check_sampled

    sampled = [one for one in segments if not isinstance(one, str)]
    check_sampled(tokenizer, [token for one in sampled for token in one], size, f"responses.{place}")
    return sampled


@dataclass
class WorkCounts:
    """Counted work, for metrics and benchmarks."""

    tokens: int = 0
    """Tokens computed."""
    images: int = 0
    """Images encoded."""
    forwards: int = 0
    known_prompts: int = 0
    """Questions whose prompt was remembered, so that only their responses were computed."""


class Scorer(Protocol):
    """Scores with one set of weights at a time."""

    work: WorkCounts

    def weights(self) -> WeightsState:
        """What is loaded; the version is empty before the first load."""

    async def load(self, ref: ArtefactRef) -> None:
        """Serve a checkpoint artefact. Raises NotFound, CorruptArtefact or InvalidInput; the old weights stay."""

    async def load_folder(self, folder: Path) -> None:
        """Serve a plain model folder, under a version made from its content. Raises InvalidInput."""

    async def sleep(self) -> None:
        """Forget the weights and give the device's memory back, once what runs has ended. A load ends the sleep."""

    async def score(
        self,
        question: str,
        images: "Sequence[Image]",
        responses: Sequence[Segments],
        version: str | None,
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> tuple[str, list[tuple[float, ...]]]:
        """(version, for each response the probability of the good label at the end of each segment).

        `question` and `system` are the texts of the user turn and of the system turn before it, if there is one;
        `separator` stands between the steps of a response that comes as text.

        Raises Unavailable without weights, WeightVersionMismatch, TooManyRequests when too much waits, TooLarge for
        more than could ever wait, InvalidInput for a response beyond the model's context, and Internal for scores that
        are not finite.
        """

    async def count_tokens(
        self,
        question: str,
        images: "Sequence[Image]",
        responses: Sequence[Segments],
        system: str = "",
        separator: str = STEP_SEPARATOR,
    ) -> int:
        """Tokens of the prompt with each of the responses, as if each were sent alone.

        What other servers report as `usage`; computed are fewer, since responses share their prompt. Raises
        Unavailable without weights, and InvalidInput.
        """

    async def close(self) -> None:
        """Finish the running batch and release the model."""
