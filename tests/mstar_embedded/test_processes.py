"""The plan of the stack: real settings only, and an environment that no other service's settings reach."""

import importlib
from pathlib import Path

import pytest

from mstar_embedded.ports import Ports
from mstar_embedded.processes import ProcessSpec, child_environment, stack

SETTINGS = {
    "MSTAR_POLICY_": ("mstar_policy.config", "PolicySettings"),
    "MSTAR_PRM_": ("mstar_prm.config", "PrmSettings"),
    "MSTAR_COORDINATOR_": ("mstar_coordinator.config", "CoordinatorSettings"),
    "MSTAR_WORKER_": ("mstar_coordinator.worker.main", "StepWorkerSettings"),
    "MSTAR_TRAINER_": ("mstar_trainer.config", "TrainerSettings"),
}


def plan(tmp_path: Path) -> list[ProcessSpec]:
    return stack(tmp_path, Ports(), tmp_path / "q.sock", lambda: True)


def test_every_variable_is_a_setting_of_the_service_that_gets_it(tmp_path: Path) -> None:
    for spec in plan(tmp_path):
        for name in spec.env:
            prefix = next(prefix for prefix in SETTINGS if name.startswith(prefix))
            module, kind = SETTINGS[prefix]
            fields = getattr(importlib.import_module(module), kind).model_fields
            assert name.removeprefix(prefix).lower() in fields, f"{spec.name}: {name}"


def test_the_broker_comes_first_and_listens_on_no_port(tmp_path: Path) -> None:
    broker, *others = plan(tmp_path)
    assert broker.command[broker.command.index("--port") + 1] == "0"
    assert [spec.name for spec in others] == [
        "coordinator",
        "policy",
        "prm",
        "worker-rollout",
        "worker-score",
        "trainer",
    ]


def test_settings_of_the_callers_shell_do_not_leak_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSTAR_POLICY_PORT", "1")
    monkeypatch.setenv("MSTAR_PRM_SCORE_KEY", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    environment = child_environment(next(spec for spec in plan(tmp_path) if spec.name == "policy"))
    assert environment["MSTAR_POLICY_PORT"] == "8401"
    assert "MSTAR_PRM_SCORE_KEY" not in environment
    assert (environment["OMP_NUM_THREADS"], environment["OMP_WAIT_POLICY"]) == ("3", "PASSIVE")


def test_code_that_the_operator_allowed_reaches_the_service_that_is_to_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COORDINATOR", "POLICY", "PRM", "TRAINER"):
        monkeypatch.setenv(f"MSTAR_{name}_TRUSTED_CODE", name)
    found = {}
    for spec in plan(tmp_path):
        environment = child_environment(spec)
        found[spec.name] = [value for key, value in environment.items() if key.endswith("_TRUSTED_CODE")]
    own = {name: [name.upper()] for name in ("coordinator", "policy", "prm", "trainer")}
    assert found == {"broker": [], "worker-rollout": [], "worker-score": []} | own
