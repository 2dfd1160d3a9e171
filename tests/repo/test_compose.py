"""docker-compose.yml: read by the real Compose, and every variable in it known to the service that gets it."""

import importlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from compose_bench import COLOCATED, CPU, CPU_COLOCATED, GPU, PROFILES, ROOT, SECRETS, compose, config
from mstar_coordinator.config import CoordinatorSettings, GpuSharing

SETTINGS = {
    "MSTAR_POLICY_": ("mstar_policy.config", "PolicySettings"),
    "MSTAR_PRM_": ("mstar_prm.config", "PrmSettings"),
    "MSTAR_COORDINATOR_": ("mstar_coordinator.config", "CoordinatorSettings"),
    "MSTAR_WORKER_": ("mstar_coordinator.worker.main", "StepWorkerSettings"),
    "MSTAR_TRAINER_": ("mstar_trainer.config", "TrainerSettings"),
}
MODEL_SERVICES = {"policy", "prm", "trainer"}
OURS = {*MODEL_SERVICES, "coordinator", "worker-rollout", "worker-score"}
ALL_FILES = [GPU, CPU, COLOCATED, CPU_COLOCATED]


def gpus(files: tuple[str, ...], **more: str) -> dict[str, str | None]:
    """What CUDA may use in each model service; None where no device is asked for."""
    services = config(files, **more)["services"]

    def devices(name: str) -> Any:
        return services[name].get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices")

    for name in MODEL_SERVICES:
        assert services[name]["environment"]["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        assert devices(name) in (None, [{"driver": "nvidia", "count": -1, "capabilities": ["gpu"]}]), devices(name)
    return {
        name: services[name]["environment"]["CUDA_VISIBLE_DEVICES"] if devices(name) else None
        for name in MODEL_SERVICES
    }


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("files", ALL_FILES)
def test_every_combination_of_files_and_profiles_is_a_whole_stack(files: tuple[str, ...], profile: str) -> None:
    services = config(files, COMPOSE_PROFILES=profile)["services"]
    watching = {"prometheus", "grafana"} if profile else set()
    assert set(services) == OURS | {"redis", "postgres", "own-volume"} | watching
    cpu, turns = "docker-compose.cpu.yml" in files, "docker-compose.colocated.yml" in files
    for name in MODEL_SERVICES:
        assert services[name]["image"].endswith("-cpu") is cpu
        assert ("TORCH_INDEX" in services[name]["build"].get("args", {})) is cpu
        assert bool(services[name].get("deploy", {}).get("resources", {}).get("reservations")) is not cpu
    assert ("MSTAR_COORDINATOR_GPU_SHARING" in services["coordinator"]["environment"]) is turns
    assert (services["trainer"]["environment"].get("MSTAR_TRAINER_RESIDENT") == "false") is turns


@pytest.mark.parametrize("files", ALL_FILES)
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


def test_every_process_of_ours_is_told_where_traces_go() -> None:
    services = config(GPU, OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318", OTEL_TRACES_SAMPLER_ARG="0.1")[
        "services"
    ]
    told = {name: one["environment"] for name, one in services.items() if "MSTAR_" in str(one.get("environment"))}
    assert set(told) == {"coordinator", "policy", "prm", "trainer", "worker-rollout", "worker-score"}
    for environment in told.values():
        assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
        assert environment["OTEL_TRACES_SAMPLER_ARG"] == "0.1"


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
    assert gpus(GPU) == {"policy": "0", "prm": "0", "trainer": "0"}
    eight = {"POLICY_GPUS": "0,1,2,3", "PRM_GPUS": "4", "TRAINER_GPUS": "5,6,7"}
    assert gpus(GPU, **eight) == {"policy": "0,1,2,3", "prm": "4", "trainer": "5,6,7"}
    assert gpus(CPU) == dict.fromkeys(MODEL_SERVICES)


def test_a_model_may_be_spread_over_gpus() -> None:
    spread = {"MSTAR_POLICY_TENSOR_PARALLEL": "4", "MSTAR_PRM_TENSOR_PARALLEL": "2", "MSTAR_PRM_ENGINE": "vllm"}
    services = config(GPU, **spread, MSTAR_PRM_BASE_IMAGE="vllm/vllm-openai:v0.32.0")["services"]
    assert services["policy"]["environment"]["MSTAR_POLICY_TENSOR_PARALLEL"] == "4"
    prm = services["prm"]["environment"]
    assert (prm["MSTAR_PRM_TENSOR_PARALLEL"], prm["MSTAR_PRM_ENGINE"]) == ("2", "vllm")
    assert services["prm"]["build"]["args"]["BASE_IMAGE"] == "vllm/vllm-openai:v0.32.0"
    assert config(CPU, **spread)["services"]["prm"]["environment"]["MSTAR_PRM_ENGINE"] == "transformers"


BUILT = ("coordinator", "policy", "prm", "trainer")
MIRROR = "https://mirror.example.org"


@pytest.mark.parametrize("service", BUILT)
def test_the_base_of_an_image_is_that_of_its_dockerfile(service: str) -> None:
    own = re.findall(r"^ARG BASE_IMAGE=(\S+)$", (ROOT / "docker" / f"{service}.Dockerfile").read_text(), re.M)
    assert [config(GPU)["services"][service]["build"]["args"]["BASE_IMAGE"]] == own


@pytest.mark.parametrize("service", BUILT)
@pytest.mark.parametrize("files", [GPU, CPU])
def test_a_closed_network_is_told_to_every_build(service: str, files: tuple[str, ...]) -> None:
    given = {"PIP_INDEX_URL": f"{MIRROR}/simple", "CA_CERTIFICATE": "LS0t", "HTTPS_PROXY": f"{MIRROR}:3128"}
    base, torch = "mirror.example.org/base", f"{MIRROR}/cpu"
    own = f"MSTAR_{service.upper()}_BASE_IMAGE" if files == GPU or service == "coordinator" else "MSTAR_CPU_BASE_IMAGE"
    variables = {f"MSTAR_{name}" if name != "HTTPS_PROXY" else name: value for name, value in given.items()}
    services = config(files, **variables, **{own: base}, MSTAR_TORCH_INDEX=torch)["services"]
    arguments = services[service]["build"]["args"]
    assert given.items() <= arguments.items() and arguments["BASE_IMAGE"] == base
    assert arguments.get("TORCH_INDEX") == (torch if files == CPU and service != "coordinator" else None)
    text = (ROOT / "docker" / f"{service}.Dockerfile").read_text()
    # A proxy is an argument of every build without being declared.
    assert set(arguments) - set(re.findall(r"^ARG (\w+)=", text, re.M)) <= {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}


def test_the_example_names_every_variable_that_the_files_read() -> None:
    read = set(re.findall(r"\$\{(\w+)", "".join((ROOT / name).read_text() for name in CPU_COLOCATED)))
    example = set(re.findall(r"^(?:# )?(\w+)=", (ROOT / ".env.example").read_text(), re.M))
    own_images = {name for name in read if name.endswith("_IMAGE") and not name.startswith("MSTAR_")}
    assert read - own_images - example == set()


def test_own_models_and_data_are_seen_by_those_that_read_them_and_changed_by_none() -> None:
    for given, kind in (("/srv/mstar", "bind"), ("", "volume")):
        services = config(GPU, **({"MSTAR_DATA_DIR": given} if given else {}))["services"]
        for name in OURS:
            own = [volume for volume in services[name]["volumes"] if volume["target"] == "/data/own"]
            assert bool(own) is (name not in MODEL_SERVICES), name
            assert all((volume["type"], volume["read_only"]) == (kind, True) for volume in own)
            assert all(volume["source"] == (given or "own") for volume in own)


def test_on_the_same_gpus_services_can_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_results_are_taken_out_as_the_page_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operate.md").read_text()
    lines = re.findall(r"^(?:docker compose exec|kubectl exec) .*\| tar -x$", page, re.M)
    assert len(lines) == 2
    services = config(GPU)["services"]
    assert "/data" in {volume["target"] for volume in services["coordinator"]["volumes"]}
    run = tmp_path / "data" / "demo-1"
    run.mkdir(parents=True)
    (tmp_path / "data" / "latest").symlink_to("demo-1")
    (run / "results.json").write_text("{}")
    for place, line in enumerate(lines):
        (here := tmp_path / str(place)).mkdir()
        taken = line[line.index("tar ") :].replace("/data", str(tmp_path / "data"))
        subprocess.run(["sh", "-ec", taken], cwd=here, check=True)
        assert (here / "latest" / "results.json").read_text() == "{}" and not (here / "latest").is_symlink()
