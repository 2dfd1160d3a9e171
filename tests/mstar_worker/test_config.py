"""Settings of a worker: read from its own variables, and a misspelt one is an error."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from mstar_worker.config import WorkerSettings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSTAR_WORKER_BROKER_URL", "redis+socket:///q.sock?virtual_host=0")
    monkeypatch.setenv("MSTAR_WORKER_HOME", "/data")
    settings = WorkerSettings()
    assert settings.broker_url.get_secret_value() == "redis+socket:///q.sock?virtual_host=0"
    assert settings.home == Path("/data")
    assert settings.internal_key is None


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSTAR_WORKER_BROKER_URL", "memory://")
    monkeypatch.setenv("MSTAR_WORKER_POLCY_URL", "http://127.0.0.1:1")
    with pytest.raises(ValidationError, match="unknown setting MSTAR_WORKER_POLCY_URL"):
        WorkerSettings()


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSTAR_WORKER_BROKER_URL", "redis://:hunter2@queue")
    monkeypatch.setenv("MSTAR_WORKER_INTERNAL_KEY", "hunter2")
    assert "hunter2" not in repr(WorkerSettings())


@pytest.mark.parametrize("password", ["a/b", "a?b", "a#b", "1/b", "a/b@c"])
def test_a_password_that_tears_the_url_apart_is_told_of_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("MSTAR_WORKER_BROKER_URL", f"redis://:{password}@queue:6379/0")
    with pytest.raises(ValidationError, match="percent-encode the password") as refused:
        WorkerSettings()
    assert password not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["redis://:a%2Fb@queue:6379/0", "rediss://queue", "redis+socket:///q.sock", "memory://"]
)
def test_whole_urls_pass(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MSTAR_WORKER_BROKER_URL", url)
    assert WorkerSettings().broker_url.get_secret_value() == url
