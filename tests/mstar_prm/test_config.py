"""Settings of the PRM service: loopback by default, a key for every role beyond it, no unknown variable."""

import pytest

from mstar.environment import read_settings
from mstar_prm.config import PrmSettings


def test_defaults_listen_on_loopback_only() -> None:
    settings = read_settings(PrmSettings)
    assert (settings.host, settings.port, settings.model) == ("127.0.0.1", 8402, None)


@pytest.mark.parametrize("missing", ["SCORE", "INTERNAL", "WEIGHTS_ADMIN"])
def test_beyond_loopback_every_role_needs_a_key(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setenv("MSTAR_PRM_HOST", "0.0.0.0")
    for role in {"SCORE", "INTERNAL", "WEIGHTS_ADMIN"} - {missing}:
        monkeypatch.setenv(f"MSTAR_PRM_{role}_KEY", role)
    with pytest.raises(SystemExit, match=f"set MSTAR_PRM_{missing}_KEY"):
        read_settings(PrmSettings)
    monkeypatch.setenv(f"MSTAR_PRM_{missing}_KEY", missing)
    assert read_settings(PrmSettings).keys()[missing.lower()] == missing


@pytest.mark.parametrize(
    ("name", "value"), [("BATCH_TOKENS", "255"), ("WAITING_TOKENS", "0"), ("THREADS", "0"), ("BATCH_TOKEN", "512")]
)
def test_bad_settings_name_the_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"MSTAR_PRM_{name}", value)
    with pytest.raises(SystemExit, match=f"MSTAR_PRM_{name}"):
        read_settings(PrmSettings)
