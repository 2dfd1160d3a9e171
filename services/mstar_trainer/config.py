"""Settings of the trainer, from environment variables only."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from mstar_worker.config import WorkerSettings


class TrainerSettings(WorkerSettings):
    """One worker on the queue `train`."""

    model_config = SettingsConfigDict(env_prefix="MSTAR_TRAINER_")

    threads: int | None = Field(default=None, ge=1)
    """CPU threads of each training process; by default the cores, shared out among the ranks."""
    silence_seconds: float = Field(default=1800.0, gt=0)
    """Training processes that report nothing for so long are taken for hung and killed."""
