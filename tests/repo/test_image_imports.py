"""Each image holds the folders and the packages that its service's modules import, read from the code.

The environment of the tests has every group, so that only a started image would say what it lacks.
"""

import ast
import re
import sys
from functools import cache
from importlib.metadata import packages_distributions
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SERVICES = ("coordinator", "policy", "prm", "trainer")
FROM_THE_INDEX = {"torch", "deepspeed"}
"""Installed in steps of their own."""
OPTIONAL = {"bitsandbytes", "vllm", "mlflow", "tensorboardX", "trackio", "wandb"}
"""Imported where a setting asks for it; what lacks it says so."""
ANSWERS = {"math_verify", "pint"}
"""Imported once an answer is judged, which the coordinator alone does."""


def path_of(module: str) -> Path | None:
    """The file of a module of this repository, or None."""
    for top in ("shared", "services"):
        base = ROOT / top / module.replace(".", "/")
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


def named(node: ast.AST) -> list[str]:
    """The modules that a statement may import, or that a list of arguments starts as a program."""
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        return [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
    if isinstance(node, ast.List | ast.Tuple):
        texts = [one.value if isinstance(one, ast.Constant) else None for one in node.elts]
        return [str(program) for option, program in pairwise(texts) if option == "-m" and program]
    return []


@cache
def named_in(path: Path) -> list[str]:
    """All of one file."""
    return [name for node in ast.walk(ast.parse(path.read_text())) for name in named(node)]


@cache
def reached(service: str) -> dict[str, set[str]]:
    """Top-level package → modules of this repository that import it, of all that a service's start may lead to."""
    users: dict[str, set[str]] = {}
    seen, waiting = set(), [f"mstar_{service}.__main__"]
    while waiting:
        module = waiting.pop()
        path = path_of(module)
        if path is None or path in seen:
            continue
        seen.add(path)
        for name in named_in(path):
            waiting.append(name)
            users.setdefault(name.partition(".")[0], set()).add(module)
    return users


def locked(service: str) -> set[str]:
    """The distributions that an image gets."""
    text = (ROOT / f"docker/locks/{service}.txt").read_text()
    return {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)} | FROM_THE_INDEX


def is_ours(package: str) -> bool:
    return path_of(package) is not None


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_has_what_its_modules_import(service: str) -> None:
    brought, distributions = locked(service), packages_distributions()
    known = sys.stdlib_module_names | OPTIONAL | (set() if service == "coordinator" else ANSWERS)
    missing = {
        package: sorted(users)
        for package, users in reached(service).items()
        if not is_ours(package)
        and package not in known
        and not brought & {canonicalize_name(one) for one in distributions.get(package, [package])}
    }
    assert missing == {}


@pytest.mark.parametrize("service", SERVICES)
def test_the_copied_folders_are_those_that_the_service_imports(service: str) -> None:
    text = (ROOT / f"docker/{service}.Dockerfile").read_text()
    copied = re.findall(r"^COPY (?:shared|services)/(\S+) /srv/", text, re.MULTILINE)
    assert sorted(copied) == sorted(package for package in reached(service) if is_ours(package))
