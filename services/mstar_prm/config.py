"""Settings of the PRM service, from environment variables only."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from mstar.trusted_code import TrustedCodeText
from mstar_web.config import ServiceSettings


class PrmSettings(ServiceSettings):
    """One PRM service with one scorer."""

    model_config = SettingsConfigDict(env_prefix="MSTAR_PRM_")

    port: int = Field(default=8402, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    score_key: SecretStr | None = None
    """Bearer key of outside clients that score responses."""
    weights_admin_key: SecretStr | None = None
    """Bearer key that may load weights."""
    coordinator_url: str | None = None
    """Coordinator that knows the keys made with `mstar keys`; unset, only the keys of these settings open this
    service."""
    model: Path | None = None
    """Hugging Face folder to serve from the start; unset, the service is not ready until weights are loaded."""
    trusted_code: TrustedCodeText = ""
    """Code from model folders that may run here, as comma-separated `TYPE=/FOLDER@sha256:DIGEST`; docs/models.md says
    how to allow a folder, and which risks remain. Empty: none."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """Inference engine: `vllm` for a PRM that is spread over several GPUs, in an image that has vLLM; otherwise
    `transformers`, which takes a fraction of the time."""
    gpu_memory_share: float = Field(default=0.9, gt=0, lt=1)
    """Share of a GPU's memory that vLLM may take."""
    tensor_parallel: int = Field(default=1, ge=1)
    """GPUs that vLLM spreads the model over."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of the scorer; unset, one for each core."""
    batch_tokens: int = Field(default=8192, ge=256)
    """Largest number of tokens of one forward pass, padding included."""
    deterministic: bool = False
    """Compute each question by itself and cache none, so that equal requests get bit-identical scores, whatever else is
    waiting. Slower on a GPU, which could take many questions at once; transformers only."""
    prefix_megabytes: int = Field(default=1024, ge=0)
    """Memory that caches the keys and values of recent questions; 0 caches none. vLLM has its own cache."""
    waiting_tokens: int = Field(default=4_000_000, ge=1024)
    """Tokens that may be waiting before further requests get a 429."""
    deadline_seconds: float = Field(default=600.0, gt=0)
    """Longest time for waiting and computing; after it a request is abandoned with a 503."""
