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


def test_scores_are_the_same_bits_in_every_run_unless_the_caller_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (prm,) = (spec for spec in plan(tmp_path) if spec.name == "prm")
    assert child_environment(prm)["MSTAR_PRM_DETERMINISTIC"] == "true"
    monkeypatch.setenv("MSTAR_PRM_DETERMINISTIC", "false")
    assert child_environment(prm)["MSTAR_PRM_DETERMINISTIC"] == "false"


def test_what_the_operator_allows_and_bounds_reaches_the_service_that_it_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "MSTAR_COORDINATOR_TRACKING": "tensorboard",
        "MSTAR_COORDINATOR_UNTRIED_MODELS": "llama4",
        "MSTAR_COORDINATOR_DATA_ROOT": "/data",
        "MSTAR_POLICY_BATCH_ROWS": "8",
        "MSTAR_PRM_TRUSTED_CODE": "code",
        "MSTAR_TRAINER_THREADS": "2",
    }
    # Where everything is and who may come in follow from the stack, in which nobody has a key.
    decided = ("DATABASE_URL", "ARTEFACTS", "ARTEFACTS_ENDPOINT", "RUN_ADMIN_KEY", "OIDC_ISSUER", "GPU_SHARING")
    others = {f"MSTAR_COORDINATOR_{name}": "elsewhere" for name in decided}
    # Those of clients begin as those of services do.
    others |= {"MSTAR_POLICY_URL": "elsewhere", "MSTAR_PRM_URL": "elsewhere"}
    for name, value in (given | others).items():
        monkeypatch.setenv(name, value)
    found = {spec.name: set(child_environment(spec).items()) & set(given.items()) for spec in plan(tmp_path)}
    own = {"coordinator": "COORDINATOR", "policy": "POLICY", "prm": "PRM", "trainer": "TRAINER"}
    assert found == {
        name: {(key, value) for key, value in given.items() if key.startswith(f"MSTAR_{own.get(name)}_")}
        for name in found
    }
    assert not [
        key for spec in plan(tmp_path) for key, value in child_environment(spec).items() if value == "elsewhere"
    ]
