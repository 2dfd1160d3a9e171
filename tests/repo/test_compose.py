"""docker-compose.yml: read by the real Compose, and every variable in it known to the service that gets it."""

import importlib

import pytest

from compose_bench import COLOCATED, CPU, GPU, ROOT, SECRETS, compose, config
from mstar.phases import GpuSharing
from mstar_coordinator.config import CoordinatorSettings

SETTINGS = {
    "MSTAR_POLICY_": ("mstar_policy.config", "PolicySettings"),
    "MSTAR_PRM_": ("mstar_prm.config", "PrmSettings"),
    "MSTAR_COORDINATOR_": ("mstar_coordinator.config", "CoordinatorSettings"),
    "MSTAR_WORKER_": ("mstar_coordinator.worker", "RoundsWorkerSettings"),
    "MSTAR_TRAINER_": ("mstar_trainer.config", "TrainerSettings"),
}
MODEL_SERVICES = {"policy", "prm", "trainer"}


@pytest.mark.parametrize("files", [GPU, CPU, COLOCATED])
def test_every_variable_is_a_setting_of_the_service_that_gets_it(files: tuple[str, ...]) -> None:
    seen = 0
    for name, service in config(files)["services"].items():
        for variable in service.get("environment", {}):
            if not variable.startswith("MSTAR_"):
                continue
            prefix = next((prefix for prefix in SETTINGS if variable.startswith(prefix)), None)
            assert prefix is not None, f"{name}: {variable}"
            module, kind = SETTINGS[prefix]
            fields = getattr(importlib.import_module(module), kind).model_fields
            assert variable.removeprefix(prefix).lower() in fields, f"{name}: {variable}"
            seen += 1
    assert seen > 25


@pytest.mark.parametrize("missing", SECRETS)
def test_nothing_starts_without_each_secret(missing: str) -> None:
    done = compose(GPU, {name: "x" for name in SECRETS if name != missing})
    assert done.returncode != 0
    assert f"set {missing} in .env" in done.stderr


def test_the_example_names_every_secret_and_fills_none() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert {line.rstrip("=") for line in lines if line.endswith("=")} == set(SECRETS)


def test_only_two_apis_are_published_and_on_loopback() -> None:
    published = {name: port for name, service in config(GPU)["services"].items() for port in service.get("ports", [])}
    assert {name: port["target"] for name, port in published.items()} == {"coordinator": 8400, "prm": 8402}
    assert {port["host_ip"] for port in published.values()} == {"127.0.0.1"}


def test_gpus_are_those_of_the_environment_and_none_on_a_cpu() -> None:
    def devices(files: tuple[str, ...], **more: str) -> dict[str, list[str]]:
        services = config(files, **more)["services"]
        return {
            name: [gpu for device in found for gpu in device["device_ids"]]
            for name in MODEL_SERVICES
            if (found := services[name].get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices"))
        }

    assert devices(GPU) == {"policy": ["0"], "prm": ["0"], "trainer": ["0"]}
    assert devices(GPU, PRM_GPU="1", TRAINER_GPU="2") == {"policy": ["0"], "prm": ["1"], "trainer": ["2"]}
    assert devices(CPU) == {}


def test_on_one_gpu_services_can_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    services = config(COLOCATED)["services"]
    for variable, value in services["coordinator"]["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = CoordinatorSettings()
    assert settings.gpu_sharing is GpuSharing.COLOCATED and settings.score_key is not None
    assert services["policy"]["environment"]["MSTAR_POLICY_SLEEP_IN_PLACE"] == "true"
    assert services["trainer"]["environment"]["MSTAR_TRAINER_RESIDENT"] == "false"
    assert "MSTAR_COORDINATOR_GPU_SHARING" not in config(GPU)["services"]["coordinator"]["environment"]


def test_the_coordinator_waits_for_no_gpu() -> None:
    services = config(GPU)["services"]
    for name in ("coordinator", "worker-rollout", "worker-score"):
        assert not MODEL_SERVICES & set(services[name]["depends_on"]), name


def test_every_container_that_stays_has_a_check_of_its_own() -> None:
    images = {"coordinator", "policy", "prm", "trainer"}  # theirs is in the Dockerfile
    for name, service in config(GPU)["services"].items():
        check = service.get("healthcheck", {})
        assert bool(check.get("test")) is (name not in images | {"own-volume"}), name
        assert check.get("disable", False) is (name == "own-volume")


def test_our_containers_have_no_rights_they_do_not_need() -> None:
    for name, service in config(GPU)["services"].items():
        if name in ("redis", "postgres", "own-volume"):
            continue
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["user"] == "10001:10001", name
        assert service["tmpfs"] == ["/tmp:exec"], name  # compiled kernels are loaded from there
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_queue_keeps_what_it_has() -> None:
    command = " ".join(config(GPU)["services"]["redis"]["command"])
    assert "--appendonly yes" in command and "noeviction" in command and "--requirepass" in command
