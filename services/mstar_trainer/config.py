"""Settings of the trainer, from environment variables only."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "MSTAR_TRAINER_"


class TrainerSettings(BaseSettings):
    """One worker on the queue `train`. An unknown `MSTAR_TRAINER_…` variable is an error, so a typo can't go unseen."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    broker_url: SecretStr
    """Redis or Valkey that carries the hints; `redis+socket:///path?virtual_host=0` for a unix socket."""
    coordinator_url: str = "http://127.0.0.1:8400"
    """Where steps are claimed and committed."""
    api_key: SecretStr | None = None
    """Bearer key of the coordinator's internal API."""
    home: Path = Field(default=Path("runs"))
    """Root of the artefacts, shared with all services; images lie in `.mstar/images` below it."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of each training process; by default the cores, shared out among the ranks."""
    silence_seconds: float = Field(default=1800.0, gt=0)
    """Training processes that report nothing for so long are taken for hung and killed."""

    @model_validator(mode="after")
    def _no_unknown_variable(self) -> Self:
        known = {PREFIX + name.upper() for name in type(self).model_fields}
        unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
        if unknown:
            raise ValueError(f"unknown setting {unknown[0]}: remove it, or use one of {', '.join(sorted(known))}")
        return self
