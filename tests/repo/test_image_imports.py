"""Each image's lock has the packages that its service's modules import.

A test's own environment has every group, so that a package missing from one image would only be seen once it starts.
"""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
STARTS = {service: f"mstar_{service}.__main__" for service in ("policy", "prm", "trainer", "coordinator")}
FROM_THE_INDEX = {"torch", "deepspeed"}
"""Installed in steps of their own."""
OPTIONAL = {"vllm", "mlflow", "tensorboardX", "trackio", "wandb"}
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
    """The modules that one import statement may load."""
    if isinstance(node, ast.Import):
        return [one.name for one in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        return [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
    return []


def reached(start: str) -> dict[str, set[str]]:
    """Package from elsewhere → modules of this repository that import it, of all that a start may lead to."""
    users: dict[str, set[str]] = {}
    seen, waiting = set(), [start]
    while waiting:
        module = waiting.pop()
        path = path_of(module)
        if path is None or path in seen:
            continue
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            for name in named(node):
                if path_of(name) is not None:
                    waiting.append(name)
                elif path_of(name.rpartition(".")[0]) is None:
                    users.setdefault(name.partition(".")[0], set()).add(module)
    return users


def locked(service: str) -> set[str]:
    """The distributions that an image gets."""
    text = (ROOT / f"docker/locks/{service}.txt").read_text()
    return {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)} | FROM_THE_INDEX


@pytest.mark.parametrize("service", STARTS)
def test_an_image_has_what_its_modules_import(service: str) -> None:
    brought, distributions = locked(service), packages_distributions()
    elsewhere = OPTIONAL if service == "coordinator" else OPTIONAL | ANSWERS
    missing = {
        package: sorted(users)
        for package, users in reached(STARTS[service]).items()
        if package not in sys.stdlib_module_names | elsewhere
        and not brought & {canonicalize_name(one) for one in distributions.get(package, [package])}
    }
    assert missing == {}
