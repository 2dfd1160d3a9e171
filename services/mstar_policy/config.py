"""Settings of the policy service, from environment variables only."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from mstar.trusted_code import TrustedCodeText
from mstar_web.config import ServiceSettings

EngineChoice = Literal["auto", "transformers", "vllm"]


class PolicySettings(ServiceSettings):
    """One policy service with one engine."""

    model_config = SettingsConfigDict(env_prefix="MSTAR_POLICY_")

    port: int = Field(default=8401, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
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
    engine: EngineChoice = "auto"
    """Inference engine. `auto` uses vLLM if it is installed and there is a GPU, and else transformers, which is faster
    for small models on a CPU. A large model on a CPU may be faster with `vllm`."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of the engine; unset, one for each core."""
    batch_rows: int = Field(default=1024, ge=1)
    """Largest number of samples decoded together."""
    cache_megabytes: int | None = Field(default=None, ge=1)
    """Memory for the keys and values of the samples decoded together; the transformers engine takes up to half as much
    again for the next ones. Unset, what the GPU has left beside the weights, and 1024 without a GPU."""
    gpu_memory_share: float = Field(default=0.9, gt=0, lt=1)
    """Share of a GPU's memory that the policy may take."""
    sleep_in_place: bool = False
    """Keep vLLM's processes while the service sleeps, so that it wakes in seconds; otherwise they end and restart."""
    tensor_parallel: int = Field(default=1, ge=1)
    """GPUs that vLLM spreads the model over."""
    waiting_rows: int = Field(default=131_072, ge=1)
    """Samples that may be in progress or waiting before further requests get a 429."""
