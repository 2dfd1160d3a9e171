"""Settings come from the environment, whole or not at all."""

import pytest
from pydantic import ValidationError

from mstar_trainer.config import TrainerSettings


def test_settings_are_read_and_secrets_stay_out_of_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSTAR_TRAINER_BROKER_URL", "redis://:hunter2@127.0.0.1/0")
    monkeypatch.setenv("MSTAR_TRAINER_THREADS", "2")
    settings = TrainerSettings()
    assert settings.threads == 2
    assert "hunter2" not in repr(settings)


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSTAR_TRAINER_BROKER_URL", "redis://127.0.0.1/0")
    monkeypatch.setenv("MSTAR_TRAINER_THREAD", "2")
    with pytest.raises(ValidationError, match="unknown setting MSTAR_TRAINER_THREAD"):
        TrainerSettings()


def test_no_broker_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MSTAR_TRAINER_BROKER_URL", raising=False)
    with pytest.raises(ValidationError, match="broker_url"):
        TrainerSettings()
