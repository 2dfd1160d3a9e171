"""Settings of the coordinator's API, from environment variables only."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from mstar_web.config import ServiceSettings
from mstar_worker.config import BrokerUrl

RECIPES = Path(__file__).parents[2] / "recipes"


class CoordinatorSettings(ServiceSettings):
    """The coordinator's API process. A variable `MSTAR_COORDINATOR_…` that no field has is an error."""

    model_config = SettingsConfigDict(env_prefix="MSTAR_COORDINATOR_")

    port: int = Field(default=8400, ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    run_admin_key: SecretStr | None = None
    """Bearer key of those who start and steer runs."""
    broker_url: BrokerUrl
    """Redis or Valkey that carries the hints; `redis+socket:///path?virtual_host=0` for a unix socket."""
    database_url: SecretStr | None = None
    """SQL database of the truth; unset, SQLite in `.mstar/mstar.sqlite` below home."""
    lease_seconds: float = Field(default=20.0, gt=0)
    """A worker that sends no heartbeat for so long loses its step."""
    republish_seconds: float = Field(default=5.0, gt=0)
    """Hints older than this are sent again when their queue is empty."""
    stream_training: bool = True
    """Begin training with the first selected shard, while the others are still sampled and scored. Turn it off where
    policy and trainer take turns on the same GPUs."""
    data_root: Path = Field(default_factory=Path.cwd)
    """Folder below which recipes may name data sets and models; relative paths start here."""
    recipes_folder: Path = RECIPES
    """Folder of the recipes that can be started by name."""
    reserve_bytes: int = Field(default=500_000_000, ge=0)
    """Disk space that must be free beyond a new run's checkpoints, or the run is refused."""

    def store_url(self) -> str:
        """URL of the database to open."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home.absolute() / '.mstar' / 'mstar.sqlite'}"
