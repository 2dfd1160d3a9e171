"""Settings of the trainer, from environment variables only: as a long-running worker, or as the Job of one step."""

from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from mstar.trusted_code import TrustedCodeText
from mstar_worker.config import ConnectedSettings, WorkerSettings


class _Training(ConnectedSettings):
    model_config = SettingsConfigDict(env_prefix="MSTAR_TRAINER_")

    threads: int | None = Field(default=None, ge=1)
    """CPU threads of each training process; by default OMP_NUM_THREADS, else the cores divided among the ranks."""
    trusted_code: TrustedCodeText = ""
    """Code from model folders that may run here, as comma-separated `TYPE=/FOLDER@sha256:DIGEST`; docs/models.md says
    how to allow a folder, and which risks remain. Empty: none."""
    silence_seconds: float = Field(default=1800.0, gt=0)
    """Training processes that report nothing for this long are considered hung and are killed."""
    busy_share: float = Field(default=0.25, ge=0, le=1)
    """Share of a GPU's memory that earlier users may still hold when training begins; 1 turns the check off. A sleeping
    policy keeps up to a fifth of what it had."""


class TrainerSettings(WorkerSettings, _Training):
    """One worker on the queue `train`."""

    resident: bool = True
    """Keep the training processes between steps, with weights and optimizer; turn off if others use the GPU between
    steps."""


class JobSettings(_Training):
    """One train step on one or several nodes; the process ends with it."""

    step: str
    """Id of the step."""
    nodes: int = Field(default=1, ge=1)
    """Pods that share the step's ranks."""
    epoch: int | None = None
    """With several nodes, the lease under which the first holds the step, so that none joins a later attempt."""
    first_node: str | None = None
    """With several nodes, the host name of the first."""
    port: int = Field(default=29_500, ge=1, le=65_535)
    """With several nodes, where the ranks meet on the first."""

    @model_validator(mode="after")
    def _nodes_know_each_other(self) -> Self:
        if self.nodes > 1 and (self.first_node is None or self.epoch is None):
            raise ValueError("nodes is above 1: set first_node and epoch as well")
        return self
