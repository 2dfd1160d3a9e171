"""Settings that every worker has, read from environment variables only. Each subclasses them with its own prefix."""

import os
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mstar_artefacts.storage import StorageSettings


def whole_url(url: SecretStr) -> SecretStr:
    """The broker's URL; ValueError when its password has torn it apart, as `/`, `?` and `#` do."""
    try:
        parts = urlsplit(url.get_secret_value())
        torn = parts.scheme in ("redis", "rediss") and (not parts.hostname or parts.port == 0)
    except ValueError:
        torn = True
    if torn:
        raise ValueError("the URL names no host and port: percent-encode the password, or use letters and digits only")
    return url


BrokerUrl = Annotated[SecretStr, AfterValidator(whole_url)]


class ConnectedSettings(StorageSettings, BaseSettings):
    """Base of everything that does steps. A variable with the subclass's prefix that no field has is an error."""

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

    @model_validator(mode="after")
    def _no_unknown_variable(self) -> Self:
        prefix = str(type(self).model_config["env_prefix"])
        known = {prefix + name.upper() for name in type(self).model_fields}
        unknown = sorted(name for name in os.environ if name.startswith(prefix) and name not in known)
        if unknown:
            raise ValueError(f"unknown setting {unknown[0]}: remove it, or use one of {', '.join(sorted(known))}")
        return self


class WorkerSettings(ConnectedSettings):
    """Base of a worker that takes hints from queues."""

    broker_url: BrokerUrl
    """Redis or Valkey that carries the hints; `redis+socket:///path?virtual_host=0` for a unix socket."""
