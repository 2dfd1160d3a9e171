"""Claims give nothing by default: a role only where settings name the value, a project only where it is one."""

from typing import Any

import pytest

from mstar.api.keys import Role
from mstar.errors import Forbidden
from mstar_coordinator.oidc_claims import ClaimRules, name_of, read_projects, read_roles, values_at

RULES = ClaimRules("groups", {"staff": Role.READ, "admins": Role.RUN_ADMIN})
TEAMS = ClaimRules("groups", RULES.roles, "team", {"b": "blue", "blue": "blue", "g": "green"})
ANNA = {"sub": "anna", "groups": ["staff"]}


def test_values_of_the_claim_give_roles_and_others_give_nothing() -> None:
    found = RULES.principal(ANNA | {"groups": ["staff", "admins", "football"]})
    assert found.roles == {Role.READ, Role.RUN_ADMIN}
    assert (found.id, found.operator, found.project) == (None, False, "default")


@pytest.mark.parametrize(
    "groups",
    [None, [], "", ["Staff"], ["staff "], [["staff"]], {"staff": True}, 3, [None, 3], ["run_admin"], "staff,x"],
)
def test_without_a_value_that_is_named_nobody_comes_in(groups: Any) -> None:
    with pytest.raises(Forbidden, match="MSTAR_COORDINATOR_OIDC_ROLES"):
        RULES.principal({"sub": "anna", "groups": groups})


def test_a_claim_may_be_one_text_or_lie_deeper() -> None:
    assert values_at({"groups": "staff"}, "groups") == ["staff"]
    assert values_at({"realm": {"roles": ["a", "b"]}}, "realm.roles") == ["a", "b"]
    assert values_at({"https://example.org/roles": ["a"]}, "https://example.org/roles") == ["a"]
    assert values_at({"realm": "x"}, "realm.roles") == values_at({}, "a.b.c") == []


@pytest.mark.parametrize(("team", "project"), [(["b"], "blue"), (["b", "blue"], "blue"), ("g", "green")])
def test_a_project_is_given_by_its_own_claim(team: Any, project: str) -> None:
    assert TEAMS.principal(ANNA | {"team": team}).project == project


@pytest.mark.parametrize(("team", "said"), [([], "none"), (None, "none"), ("default", "none"), (["b", "g"], "several")])
def test_none_or_several_projects_let_nobody_in(team: Any, said: str) -> None:
    with pytest.raises(Forbidden, match=f"gives {said} of the projects"):
        TEAMS.principal(ANNA | {"team": team})


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"sub": "1", "email": "a@b.c", "email_verified": True}, "oidc:a@b.c"),
        ({"sub": "1", "email": "a@b.c", "email_verified": "true"}, "oidc:1"),
        ({"sub": "1", "email": "a@b.c"}, "oidc:1"),
        ({"sub": "bootstrap run_admin"}, "oidc:bootstrap run_admin"),
        ({"sub": "a\x1b[2J\nb"}, "oidc:a?[2J?b"),
        # As long as the names of keys, for which the database's columns are made.
        ({"sub": "x" * 500}, "oidc:" + "x" * 75),
    ],
)
def test_a_person_is_named_by_what_the_provider_has_checked(claims: dict[str, Any], name: str) -> None:
    assert name_of(claims) == name


def test_settings_are_read_and_wrong_ones_named() -> None:
    assert read_roles(" a b=read, cn=staff=run_admin ,") == {"a b": Role.READ, "cn=staff": Role.RUN_ADMIN}
    assert read_projects("team-b=blue,g=green") == {"team-b": "blue", "g": "green"}
    for text in ("staff", "=read", "staff=", "a=internal", "a=weights_admin", "a=metrics", "a=root"):
        with pytest.raises(ValueError, match=r"VALUE=NAME|is not one of"):
            read_roles(text)
    for text in ("a=../x", "a=Blue", "a="):
        with pytest.raises(ValueError, match=r"VALUE=NAME|not a project"):
            read_projects(text)
