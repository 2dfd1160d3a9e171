"""Dockerfiles: linted; what each installs is what its group declares, and every declared package is imported.

What a declared package brings along is its own affair.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dockerfile_bench import instructions

ROOT = Path(__file__).parents[2]
SERVICES = ("coordinator", "policy", "prm", "trainer")
BY_NAME = {
    "coordinator": {"psycopg", "python-multipart"},
    "policy": {"num2words"},
    "prm": {"numpy", "num2words"},
    "trainer": {"num2words"},
}
"""Packages that another one imports: SQLAlchemy for the URL of a database, Starlette for forms, torch for bytes,
transformers for the processor of SmolVLM."""


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


def declared(group: str) -> list[Requirement]:
    """Requirements of a dependency group and of those it includes."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return [
        one
        for entry in groups[group]
        for one in (declared(entry["include-group"]) if isinstance(entry, dict) else [Requirement(entry)])
    ]


def locked(name: str) -> set[str]:
    """Packages that a lock pins, every one of them with a hash."""
    found = re.findall(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==\S+(.*(?:\n    .*)+)", lock(name), re.M)
    assert all("--hash=sha256:" in rest for _, rest in found)
    assert len(found) == len(re.findall(r"^\S+==", lock(name), re.M))
    return {name for name, _ in found}


def lock(name: str) -> str:
    return (ROOT / "docker" / "locks" / f"{name}.txt").read_text()


def reached(requirements: Sequence[Requirement], *, here: bool) -> set[str]:
    """Packages that these requirements bring, on this platform (`here`) or on any."""
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = [(canonicalize_name(one.name), frozenset(one.extras)) for one in requirements]
    while todo:
        package = todo.pop()
        if package in seen:
            continue
        seen.add(package)
        try:
            wanted = [Requirement(text) for text in requires(package[0]) or ()]
        except PackageNotFoundError:  # for another platform
            continue
        todo += [
            (canonicalize_name(one.name), frozenset(one.extras)) for one in wanted if _holds(one, package[1], here)
        ]
    return {name for name, _ in seen}


def _holds(requirement: Requirement, extras: frozenset[str], here: bool) -> bool:
    if requirement.marker is None:
        return True
    if here:
        return any(requirement.marker.evaluate({"extra": extra}) for extra in extras or {""})
    asked = re.findall(r"extra == [\"']([^\"']+)", str(requirement.marker))
    return not asked or bool(extras & set(asked))


@pytest.mark.parametrize("service", SERVICES)
def test_a_lock_pins_with_hashes_what_the_group_brings_and_nothing_else(service: str) -> None:
    names = locked(service)
    assert names <= reached(declared(service), here=False)
    missing = reached(declared(service), here=True) - names
    assert missing == {"coordinator": set(), "trainer": {"torch", "deepspeed"}}.get(service, {"torch"})


def test_locks_that_pin_the_same_package_hold_it_against_the_same_hashes() -> None:
    """Images that are replayed one after another rely on it: a package that is there is not looked at again."""
    hashes: dict[str, frozenset[str]] = {}
    for service in SERVICES:
        for pinned, rest in re.findall(r"^([a-z0-9._-]+(?:\[[^\]]*\])?==\S+)(.*(?:\n    .*)+)", lock(service), re.M):
            found = frozenset(re.findall(r"sha256:\w+", rest))
            assert hashes.setdefault(re.sub(r"\[.*\]", "", pinned), found) == found, pinned


def test_deepspeed_is_pinned_with_a_hash_to_the_version_of_its_group() -> None:
    assert locked("deepspeed") == {"deepspeed"}
    version = re.findall(r"^deepspeed==(\S+)", lock("deepspeed"), re.M)
    assert [str(one.specifier) for one in declared("trainer") if one.name == "deepspeed"] == [f"=={version[0]}"]
    assert "setuptools" in locked("trainer")  # which builds it


@cache
def imported_by(path: Path) -> set[str]:
    """Top-level modules that one file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def imported(service: str) -> set[str]:
    """What the copied folders import anywhere, the command line aside: no image starts it."""
    files = [path for source, _ in copied(service) for path in (ROOT / source).rglob("*.py")]
    return set().union(*(imported_by(path) for path in files if "cli" not in path.parts))


@cache
def modules_by_package() -> dict[str, set[str]]:
    """Top-level modules of every installed package. Reading the lists of all their files takes seconds."""
    modules: dict[str, set[str]] = {}
    for module, packages in packages_distributions().items():
        for package in packages:
            modules.setdefault(canonicalize_name(package), set()).add(module)
    return modules


@pytest.mark.parametrize("service", SERVICES)
def test_every_declared_package_is_imported(service: str) -> None:
    modules = modules_by_package()
    names, used = {canonicalize_name(one.name) for one in declared(service)}, imported(service)
    idle = {name for name in names if not modules[name] & used}
    assert idle == BY_NAME.get(service, set())


@pytest.mark.parametrize("service", SERVICES)
def test_images_run_as_a_named_user_and_their_process_gets_the_signals(service: str) -> None:
    text = dockerfile(service)
    assert "useradd --uid 10001" in text and "\nUSER 10001:10001\n" in text
    assert f'ENTRYPOINT ["python", "-m", "mstar_{service}"]' in text
    assert "--require-hashes" in text and ":latest" not in text
    asked = "mstar_worker.alive" if service == "trainer" else "/livez"
    assert re.search(rf"^HEALTHCHECK .*\n    CMD .*{asked}", text, re.M)


@pytest.mark.parametrize("service", SERVICES)
def test_every_install_but_that_of_torch_is_held_against_a_hash(service: str) -> None:
    installs = [rest for name, rest in instructions(dockerfile(service)) if name == "RUN" and "pip install" in rest]
    for install in installs:
        if "--require-hashes" not in install:
            assert "/tmp/torch.txt" in install and "--hash=sha256:${TORCH_SHA256}" in install
        assert install.count("--no-deps") == install.count("pip install")
    assert len(installs) == {"coordinator": 1, "trainer": 3}.get(service, 2)


@pytest.mark.parametrize("service", SERVICES)
def test_labels_say_what_the_image_is_and_where_from(service: str) -> None:
    final = instructions("FROM " + dockerfile(service).split("\nFROM ")[-1])
    (label,) = (rest for name, rest in final if name == "LABEL")
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', label))
    assert labels.pop("description")
    assert labels == {
        "title": f"mstar-{service}",
        "licenses": "Apache-2.0",
        # Whoever builds and publishes an image knows these.
        "source": "${SOURCE_URL}",
        "version": "${VERSION}",
        "revision": "${REVISION}",
    }
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    arguments = [rest for name, rest in final if name == "ARG"]
    assert arguments == [f"VERSION={version}", "REVISION=unknown", "SOURCE_URL="]
