"""What the claims of an OpenID Connect provider grant: roles and a project, and nothing by default.

Pure rules over the settings. What this leaves out: how the claims were got and checked (`access.oidc`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mstar.api.keys import DEFAULT_PROJECT, OPERATORS_ONLY, Principal, ProjectName, Role
from mstar.errors import Forbidden

HANDED_OUT = frozenset(Role) - OPERATORS_ONLY
"""Roles that a provider may give; the others are for programs."""
LONGEST_NAME = 80
"""As long as the name of a key, for which the database's columns are made."""
_PROJECT: TypeAdapter[str] = TypeAdapter(ProjectName)


@dataclass(frozen=True)
class ClaimRules:
    """Which value of which claim gives which role, and which project."""

    role_claim: str
    """Dotted path, such as `groups` or `realm_access.roles`."""
    roles: Mapping[str, Role]
    project_claim: str = ""
    """Empty: everyone is in the default project."""
    projects: Mapping[str, str] | None = None

    def principal(self, claims: Mapping[str, Any]) -> Principal:
        """Who signs in. Raises Forbidden, with what to ask the operator for, where no role or project is given."""
        name = name_of(claims)
        roles = {self.roles[one] for one in values_at(claims, self.role_claim) if one in self.roles}
        if not roles:
            raise Forbidden(
                f"you are {name}, and no value of your claim {self.role_claim} gives a role here: ask the operator to "
                "name one in MSTAR_COORDINATOR_OIDC_ROLES, or to put you into a group that is named there"
            )
        if not self.project_claim:
            return Principal(name=name, roles=frozenset(roles), project=DEFAULT_PROJECT)
        known = self.projects or {}
        projects = sorted({known[one] for one in values_at(claims, self.project_claim) if one in known})
        if len(projects) != 1:
            found = "none" if not projects else "several"
            raise Forbidden(
                f"you are {name}, and your claim {self.project_claim} gives {found} of the projects, where one is "
                "needed: ask the operator to change MSTAR_COORDINATOR_OIDC_PROJECTS or your groups"
            )
        return Principal(name=name, roles=frozenset(roles), project=projects[0])


def name_of(claims: Mapping[str, Any]) -> str:
    """How logs and the audit name a person: by an address that the provider has checked, else by the subject.

    The mark in front keeps it apart from the names of keys, which people choose.
    """
    email = claims.get("email")
    checked = isinstance(email, str) and claims.get("email_verified") is True
    shown = str(email if checked else claims.get("sub", ""))
    return ("oidc:" + "".join(one if one.isprintable() else "?" for one in shown))[:LONGEST_NAME]


def values_at(claims: Mapping[str, Any], path: str) -> list[str]:
    """The text, or the texts, at a dotted path; a claim whose own name has dots is found too. Others are left out."""
    found: Any = claims
    if path in claims:
        found = claims[path]
    else:
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    listed = found if isinstance(found, list) else [found]
    return [one for one in listed if isinstance(one, str)]


def read_roles(text: str) -> dict[str, Role]:
    """`admins=run_admin, staff=read`. Raises ValueError for a role that no provider may give."""
    found = {}
    for value, role in _pairs(text):
        if role not in HANDED_OUT:
            raise ValueError(f"{role[:40]!r} is not one of {', '.join(sorted(HANDED_OUT))}")
        found[value] = Role(role)
    return found


def read_projects(text: str) -> dict[str, str]:
    """`team-blue=blue`. Raises ValueError for what is not a name of a project."""
    found = {}
    for value, project in _pairs(text):
        try:
            found[value] = _PROJECT.validate_python(project)
        except ValidationError:
            raise ValueError(f"{project[:40]!r} is not a project: lower-case letters, digits and dashes") from None
    return found


def _pairs(text: str) -> list[tuple[str, str]]:
    """Values of a claim may have any character but a comma; the last `=` of each divides."""
    found = []
    for one in filter(None, (part.strip() for part in text.split(","))):
        value, divider, name = (part.strip() for part in one.rpartition("="))
        if not divider or not value or not name:
            raise ValueError(f"{one[:40]!r} is not of the form VALUE=NAME")
        found.append((value, name))
    return found
