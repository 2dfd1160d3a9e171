"""Bodies of the policy service: rollouts and weights. The chat completions route has OpenAI's own shapes."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from mstar.api.images import ImageInputs
from mstar.gpu_memory import GpuMemory
from mstar.layout import STEP_SEPARATOR, Separator, is_blank_line
from mstar.steps import ArtefactId
from mstar.types import FIRST_BAD_ENDS, Frozen, Response, Sha256

MAX_PROMPT = 65_536
"""Characters of a user turn: a question of 32,768 with its options and its instruction."""


class Prompt(Frozen):
    """One question at one temperature, with all its samples."""

    question: str = Field(min_length=1, max_length=MAX_PROMPT)
    """Text of the user turn, as `mstar.prompts` builds it."""
    images: ImageInputs = ()
    """Of the question, in its order: at the marks `<image>` of its text if it has one for each, else before it."""
    system: str = Field(default="", max_length=4096)
    """Text of the system turn; without one there is none."""
    prefix: str = Field(default="", max_length=65_536)
    """Beginning of the response that every sample continues (Monte-Carlo completions); replies exclude it."""
    prefix_ids: Annotated[tuple[Annotated[int, Field(ge=0)], ...], FIRST_BAD_ENDS] = Field(
        default=(), max_length=32_768
    )
    """The same as the token ids that were sampled, in place of its text."""
    n: int = Field(default=1, ge=1, le=1024)
    temperature: float = Field(default=1.0, ge=0, le=2)
    """0 is greedy decoding."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)

    @model_validator(mode="after")
    def _one_prefix(self) -> Self:
        # Text and ids could differ, and the samples would continue a prefix that the caller does not know of.
        if self.prefix and self.prefix_ids:
            raise ValueError("give either prefix or prefix_ids")
        return self


class RolloutRequest(Frozen):
    """`POST /v1/rollouts`: a batch of prompts that is sampled from one weight version."""

    prompts: Annotated[tuple[Prompt, ...], FIRST_BAD_ENDS] = Field(min_length=1, max_length=8192)
    max_tokens: int = Field(default=512, ge=1, le=32_768)
    top_p: float = Field(default=1.0, gt=0, le=1)
    logprobs: bool = False
    """Reply with the log-probability of every token too."""
    weight_version: str | None = None
    """Refuse with 409 when another version is loaded."""
    step_separator: Separator = Field(default=STEP_SEPARATOR, exclude_if=is_blank_line)
    """What separates the steps of a response, by which `step_ends` are found; by default a blank line."""


class Usage(Frozen):
    """Counted work, for cost and for benchmarks."""

    prompt_tokens: int = 0
    """Prompt tokens computed: a prompt shared by n samples counts once where the engine computes it once."""
    completion_tokens: int = 0
    images_encoded: int = 0


class RefusedPrompt(Frozen):
    """A prompt that was not sampled beside others that were."""

    index: int
    """Its place in the request; its samples are empty."""
    detail: str


class RolloutReply(Frozen):
    """Samples in the order of the prompts; every one comes from `weight_version`."""

    weight_version: str
    samples: tuple[tuple[Response, ...], ...]
    token_logprobs: tuple[tuple[tuple[float, ...], ...], ...] | None = None
    """Of each sample's `token_ids`, where they were asked for."""
    vocabulary: str = ""
    """Digest of the tokenizer's vocabulary: where two agree, a token id means the same token."""
    usage: Usage = Usage()
    refused: tuple[RefusedPrompt, ...] = ()
    """Prompts that are too long for the model, or that it does not take."""


class WeightsUpdate(Frozen):
    """`PUT /v1/weights`, on policy and PRM: load a checkpoint artefact."""

    artefact: ArtefactId
    manifest_sha256: Sha256


class Power(Frozen):
    """`GET` and `PUT /v1/power`, on policy and PRM: give up the device's memory, or be ready to take it again."""

    awake: bool
    """A service that sleeps has no weights and takes none; once awake it is given some as after a start."""


class WeightsState(Frozen):
    """What is loaded. `ready` is false while a load runs, after one failed and during sleep."""

    weight_version: str
    ready: bool
    model: str
    checksum: str = ""
    """Of the tensors that the engine holds, where it can tell: replicas of one kind agree on it. Not of the files."""
    vocabulary: str = ""
    """Digest of the tokenizer's vocabulary."""
    dtype: str = ""
    """Type that it is computed in, such as `bfloat16`."""
    step_separator: str = STEP_SEPARATOR
    """Of a PRM: what separates the steps of a request that says nothing of it."""
    gpu_memory: GpuMemory | None = None
    """Of the GPUs that the service may use, read within the last seconds; not in the answer to a load."""
