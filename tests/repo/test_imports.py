"""What a fresh interpreter really loads with each service. `make lint` holds the directions of import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "torch",
    "transformers",
    "vllm",
    "deepspeed",
    "kubernetes",
    "sqlalchemy",
    "celery",
    "sklearn",
    "fsspec",
    "botocore",
)
ALLOWED = {
    "mstar.cli": (),
    "mstar_policy.app": (),
    "mstar_prm.app": (),
    "mstar_trainer.worker": ("celery",),
    "mstar_coordinator.api.app": ("sqlalchemy", "celery"),
    "mstar_coordinator.worker.main": ("celery",),
}


@pytest.mark.parametrize("module", ALLOWED)
def test_importing_a_service_loads_no_heavy_package_of_another(module: str) -> None:
    code = f"import json, sys, {module}; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'services'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(json.loads(done.stdout)) <= set(ALLOWED[module])
