"""Settings from the environment: what is not a setting stops a service, and what the client reads does not."""

import pytest
from pydantic_settings import SettingsConfigDict

from mstar.client import Endpoint
from mstar.environment import read_settings
from mstar_policy.config import PolicySettings
from mstar_prm.config import PrmSettings


@pytest.mark.parametrize("settings", [PolicySettings, PrmSettings])
def test_a_service_starts_in_a_shell_that_is_set_up_for_the_client(
    settings: type[PolicySettings | PrmSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("MSTAR_URL", "MSTAR_POLICY_URL", "MSTAR_PRM_URL"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert Endpoint.from_environment().prm_url == "http://127.0.0.1:9"
    assert read_settings(settings).port == settings.model_fields["port"].default


@pytest.mark.parametrize("settings", [PolicySettings, PrmSettings])
def test_a_variable_with_a_services_prefix_that_nobody_reads_is_named(
    settings: type[PolicySettings | PrmSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    config: SettingsConfigDict = settings.model_config
    monkeypatch.setenv(f"{config['env_prefix']}PORTS", "1")
    with pytest.raises(SystemExit, match=f"unknown setting {config['env_prefix']}PORTS: remove it"):
        read_settings(settings)
