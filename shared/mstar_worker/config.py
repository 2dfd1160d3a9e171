"""Settings that every worker has, read from environment variables only. Each subclasses them with its own prefix."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from mstar.environment import OwnVariables
from mstar_artefacts.storage import StorageSettings


def whole_url(url: SecretStr) -> SecretStr:
    """The broker's URL. Raises ValueError when `/`, `?` or `#` in its password splits it at the wrong place."""
    try:
        parts = urlsplit(url.get_secret_value())
        torn = parts.scheme in ("redis", "rediss") and (not parts.hostname or parts.port == 0)
    except ValueError:
        torn = True
    if torn:
        raise ValueError("the URL names no host and port: percent-encode the password, or use letters and digits only")
    return url


BrokerUrl = Annotated[SecretStr, AfterValidator(whole_url)]


class ConnectedSettings(StorageSettings, OwnVariables, BaseSettings):
    """Base of everything that does steps: where data lies, and the coordinator with its key."""

    # The input of a failed validation may hold the key, so messages never show it.
    model_config = SettingsConfigDict(
        env_prefix="MSTAR_WORKER_",
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    coordinator_url: str = "http://127.0.0.1:8400"
    """Where steps are claimed and committed."""
    internal_key: SecretStr | None = None
    """Bearer key of the project's own services."""


class WorkerSettings(ConnectedSettings):
    """Base of a worker that takes task messages from queues."""

    broker_url: BrokerUrl
    """Redis or Valkey that carries the task messages; `redis+socket:///path?virtual_host=0` for a unix socket."""
