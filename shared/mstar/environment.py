"""Rules for settings from environment variables that services and workers share: one prefix, and no unknown variable.

Needs pydantic only; the classes of settings build on pydantic-settings where they stand.
"""

import os
from typing import Self, TypeVar

from pydantic import BaseModel, ValidationError, model_validator

Settings = TypeVar("Settings", bound=BaseModel)

CLIENT_VARIABLES = frozenset({"MSTAR_POLICY_URL", "MSTAR_PRM_URL"})
"""Where the client looks for the services. Their names begin like settings of those services, and are none."""


class OwnVariables(BaseModel):
    """Base of settings with a prefix of their own: a variable with that prefix that no field has is an error."""

    @model_validator(mode="after")
    def _no_unknown_variable(self) -> Self:
        prefix = env_prefix(type(self))
        known = {prefix + name.upper() for name in type(self).model_fields}
        unknown = sorted(name for name in os.environ.keys() - known - CLIENT_VARIABLES if name.startswith(prefix))
        if prefix and unknown:
            raise ValueError(f"unknown setting {unknown[0]}: remove it, or use one of {', '.join(sorted(known))}")
        return self


def env_prefix(kind: type[BaseModel]) -> str:
    """Prefix of the variables of a class of settings, such as `MSTAR_POLICY_`."""
    return str(dict(kind.model_config).get("env_prefix", ""))


def read_settings(kind: type[Settings]) -> Settings:
    """Settings from the environment.

    Raises SystemExit with a line for each bad variable, which names it and never shows its value: it may be a key.
    """
    try:
        return kind()
    except ValidationError as error:
        lines = []
        # Raised from None and without inputs, since pydantic's own text quotes the value.
        for problem in error.errors(include_input=False, include_url=False):
            name = "".join(env_prefix(kind) + str(part).upper() for part in problem["loc"][:1])
            lines.append(f"{name}: {problem['msg']}" if name else problem["msg"])
        raise SystemExit("\n".join(lines)) from None
