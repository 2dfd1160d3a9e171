"""Dockerfiles: linted, and what each copies is enough for its service to import and no more than it needs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("coordinator", "policy", "prm", "trainer")
MODULES = {
    "coordinator": ("mstar_coordinator.app", "mstar_coordinator.worker", "mstar_coordinator.tasks"),
    "policy": ("mstar_policy.app", "mstar_policy.hf_engine", "mstar_policy.vllm_engine", "mstar_models.vllm_worker"),
    "prm": ("mstar_prm.app", "mstar_prm.hf_scorer"),
    "trainer": ("mstar_trainer.worker", "mstar_trainer.train", "mstar_trainer.resident"),
}


def dockerfile(service: str) -> str:
    return (ROOT / "docker" / f"{service}.Dockerfile").read_text()


def copied(service: str) -> list[tuple[str, str]]:
    """(source, target) of everything from the repository that the final stage holds."""
    final = dockerfile(service).split("\nFROM ")[-1]
    return [(a, b) for a, b in re.findall(r"^COPY (\S+) (\S+)$", final, re.M) if not a.startswith("--")]


@pytest.mark.parametrize("service", SERVICES)
def test_hadolint_finds_nothing(service: str) -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, ROOT / "docker" / f"{service}.Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_the_copied_folders_are_all_that_the_service_imports(service: str, tmp_path: Path) -> None:
    for source, target in copied(service):
        shutil.copytree(
            ROOT / source, tmp_path / target.lstrip("/"), ignore=shutil.ignore_patterns("__pycache__", "*.safetensors")
        )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MSTAR_", "PYTHON"))}
    environment["PYTHONPATH"] = f"{tmp_path}/srv/shared:{tmp_path}/srv/services"
    # -S and the hook below keep the editable install of the checkout out: only what was copied can be imported.
    code = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in type(f).__module__];"
        f"sys.path = [p for p in sys.path if not p.startswith({str(ROOT)!r}) or 'site-packages' in p];"
        f"import {', '.join(MODULES[service])};"
        "print({m.split('.')[0] for m in sys.modules if m.startswith(('mstar', 'minivista'))})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0, done.stderr[-1500:]


@pytest.mark.parametrize("service", SERVICES)
def test_images_run_as_a_named_user_and_their_process_gets_the_signals(service: str) -> None:
    text = dockerfile(service)
    assert "useradd --uid 10001" in text and "\nUSER 10001:10001\n" in text
    assert f'ENTRYPOINT ["python", "-m", "mstar_{service}"]' in text
    assert "--require-hashes" in text and ":latest" not in text
    asked = "mstar_worker.alive" if service == "trainer" else "/livez"
    assert re.search(rf"^HEALTHCHECK .*\n    CMD .*{asked}", text, re.M)


@pytest.mark.parametrize("service", SERVICES)
def test_locks_pin_with_hashes_and_leave_torch_to_its_own_index(service: str) -> None:
    lock = (ROOT / "docker" / "locks" / f"{service}.txt").read_text()
    names = re.findall(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==", lock, re.M)
    assert len(names) > 40 and lock.count("--hash=sha256:") >= len(names)
    assert not {"torch", "deepspeed", "triton"} & set(names)
