"""Tests of the settings base."""

import pytest

from mstar.environment import read_settings
from web_bench import BenchSettings, HouseSettings


def test_values_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSTAR_BENCH_PORT", "9000")
    monkeypatch.setenv("MSTAR_BENCH_INTERNAL_KEY", "k")
    settings = read_settings(BenchSettings)
    assert settings.port == 9000
    assert "k" not in str(settings.internal_key)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "http", "MSTAR_BENCH_PORT"),
        ("PRT", "9000", "MSTAR_BENCH_PRT"),
        ("HOST", "0.0.0.0", "MSTAR_BENCH_INTERNAL_KEY"),
        ("HOST", "example.org", "MSTAR_BENCH_INTERNAL_KEY"),
        ("INTERNAL_KEY", " ", "internal_key is blank"),
    ],
)
def test_bad_settings_end_with_a_line_that_names_them(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"MSTAR_BENCH_{name}", value)
    with pytest.raises(SystemExit, match=said):
        read_settings(BenchSettings)


def test_a_key_is_never_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSTAR_BENCH_INTERNAL_KEY", "very-secret")
    monkeypatch.setenv("MSTAR_BENCH_PRT", "1")
    with pytest.raises(SystemExit) as ended:
        read_settings(BenchSettings)
    assert "very-secret" not in str(ended.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_needs_no_key(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("MSTAR_BENCH_HOST", host)
    assert read_settings(BenchSettings).host == host


def test_a_service_has_a_key_for_each_role_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSTAR_HOUSE_SCORE_KEY", "k")
    with pytest.raises(SystemExit, match="set MSTAR_HOUSE_INTERNAL_KEY too"):
        read_settings(HouseSettings)


def test_a_key_for_metrics_may_be_missing_but_does_not_stand_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSTAR_BENCH_METRICS_KEY", "k")
    with pytest.raises(SystemExit, match="set MSTAR_BENCH_INTERNAL_KEY too"):
        read_settings(BenchSettings)
    monkeypatch.setenv("MSTAR_BENCH_INTERNAL_KEY", "k2")
    assert set(read_settings(BenchSettings).keys()) == {"internal", "metrics"}
    monkeypatch.delenv("MSTAR_BENCH_METRICS_KEY")
    assert set(read_settings(BenchSettings).keys()) == {"internal"}
