"""Settings that are refused before anything starts."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mstar_coordinator.config import CoordinatorSettings

SECRET = "sesame-of-the-client"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"public_url": ""}, "public_url: write https"),
        ({"public_url": "http://mstar.example.org"}, "public_url: write https"),
        ({"oidc_issuer": "http://login.example.org"}, "oidc_issuer: write https"),
        ({"oidc_issuer": "https://user:sesame@login.example.org"}, "oidc_issuer: write https"),
        ({"oidc_client_secret": None}, "oidc_client_secret"),
        ({"oidc_roles": ""}, "set oidc_roles"),
        ({"oidc_roles": "staff=internal"}, "'internal' is not one of"),
        ({"oidc_project_claim": "team"}, "oidc_projects both, or neither"),
        ({"run_admin_key": None, "internal_key": None}, "asks for no key"),
    ],
)
def test_settings_that_would_let_in_nobody_or_everybody_are_refused(changed: dict[str, Any], said: str) -> None:
    whole = {
        "run_admin_key": "k-run",
        "internal_key": "k-inside",
        "oidc_issuer": "https://login.example.org",
        "public_url": "https://mstar.example.org",
        "oidc_client_id": "mstar",
        "oidc_client_secret": SECRET,
        "oidc_roles": "staff=read",
    }
    CoordinatorSettings(broker_url="redis://unused", home=Path("/nowhere"), **whole)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match=said) as error:
        CoordinatorSettings(broker_url="redis://unused", home=Path("/nowhere"), **whole | changed)  # type: ignore[arg-type]
    assert "sesame" not in str(error.value)
