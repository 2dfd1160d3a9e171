"""Settings that every HTTP service has, read from environment variables only.

A service subclasses `ServiceSettings` with its own prefix, port and further fields. What this leaves out: recipes,
which belong to runs and arrive over HTTP.
"""

import ipaddress
from typing import ClassVar, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mstar.environment import OwnVariables, env_prefix
from mstar_artefacts.storage import StorageSettings


class ServiceSettings(StorageSettings, OwnVariables, BaseSettings):
    """Base of a service's settings. A variable with the service's prefix that no field has is an error."""

    # The input of a failed validation may hold the key, so messages never show it.
    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )

    optional_roles: ClassVar[frozenset[str]] = frozenset({"metrics"})
    """Roles that a service does without where their key is not set."""

    host: str = "127.0.0.1"
    """Address to listen on; anything but loopback needs a key for every role."""
    port: int = Field(ge=0, le=65_535)
    """Port to listen on; 0 takes a free one."""
    allowed_hosts: str = ""
    """Comma-separated host names, besides localhost, under which the service is reached; `*.example.org` for all
    subdomains. Without keys, requests to any other name are refused; with keys, only if names are listed here."""
    internal_key: SecretStr | None = None
    """Bearer key of the project's own services and workers. If no role has a key, no key is asked for."""
    metrics_key: SecretStr | None = None
    """Bearer key that reads /metrics and opens nothing else; unset, Prometheus uses the internal key."""

    @model_validator(mode="after")
    def _no_open_door(self) -> Self:
        keys, prefix = self.keys(), env_prefix(type(self))
        needed = [role for role in self.roles() if role not in self.optional_roles]
        missing = [f"{prefix}{role.upper()}_KEY" for role in needed if role not in keys]
        for role, key in keys.items():
            if not key.strip():
                raise ValueError(f"{role}_key is blank: set a key, or unset the variable")
        if missing and not is_loopback(self.host):
            raise ValueError(f"host {self.host} is reachable from outside: set {missing[0]}, or use 127.0.0.1")
        # Half of the keys would leave a role that nobody can use, and look like protection.
        if missing and keys:
            raise ValueError(f"set {missing[0]} too: a service has a key for each of its roles, or none")
        return self

    def hosts(self) -> list[str]:
        """Names in `allowed_hosts`."""
        return [name.strip() for name in self.allowed_hosts.split(",") if name.strip()]

    @classmethod
    def roles(cls) -> list[str]:
        """Roles that the service knows: every field `<role>_key`."""
        return [name.removesuffix("_key") for name in cls.model_fields if name.endswith("_key")]

    def keys(self) -> dict[str, str]:
        """Role → key, of the roles that have one."""
        found = {role: getattr(self, f"{role}_key") for role in self.roles()}
        return {role: key.get_secret_value() for role, key in found.items() if key is not None}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
