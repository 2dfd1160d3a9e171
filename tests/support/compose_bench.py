"""The compose files as the real Compose reads them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
SECRETS = (
    "REDIS_PASSWORD",
    "POSTGRES_PASSWORD",
    "MSTAR_RUN_ADMIN_KEY",
    "MSTAR_SCORE_KEY",
    "MSTAR_INTERNAL_KEY",
    "MSTAR_WEIGHTS_ADMIN_KEY",
    "MSTAR_METRICS_KEY",
)
GPU, CPU = ("docker-compose.yml",), ("docker-compose.yml", "docker-compose.cpu.yml")
COLOCATED = ("docker-compose.yml", "docker-compose.colocated.yml")
CPU_COLOCATED = (*CPU, "docker-compose.colocated.yml")
PROFILES = ("", "observability")


def compose(files: tuple[str, ...], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """`docker compose config`, which needs no engine, with nothing but this environment."""
    flags = [part for file in files for part in ("-f", str(ROOT / file))]
    command = [str(COMPOSE), "--env-file", "/dev/null", *flags, "config", "--format", "json"]
    return subprocess.run(command, env={"PATH": os.defpath} | environment, capture_output=True, text=True)


def config(files: tuple[str, ...], **more: str) -> dict[str, Any]:
    """The whole configuration, every secret being its own name in lower case; COMPOSE_PROFILES adds profiles."""
    done = compose(files, {name: name.lower() for name in SECRETS} | more)
    assert done.returncode == 0, done.stderr
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed
