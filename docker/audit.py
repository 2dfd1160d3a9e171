"""Looks at what the images install: known vulnerabilities, licences, and a bill of materials for each image.

    make audit

Vulnerabilities come from PyPI's advisory database by `pip-audit`; where nothing can be asked, that is said in one line
and nothing fails. Licences are those that the installed packages name (`pip-licenses`): each must be one of `ALLOWED`,
or its package stand in `EXCEPTIONS` with the reason. The bills are CycloneDX 1.6 in build/sbom, made of the locks by
`cyclonedx-bom`: they leave out torch and CUDA, which come from an image's base.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "docker" / "locks"
SERVICES = ("coordinator", "policy", "prm", "trainer")
TOOLS = Path(sys.prefix) / "supply" / "bin"
SECONDS = 120
ALLOWED = re.compile(
    r"apache|bsd|\bmit\b|mit-0|mit-cmu|\bisc\b|psf|python software foundation|cnri-python|mozilla|mpl|zlib|unlicense"
    r"|cc0|bsl-1|0bsd|lgpl|lesser general",
    re.IGNORECASE,
)
"""Permissive ones, and the weak copyleft of libraries that are used as they are."""
FORBIDDEN = re.compile(r"\bA?GPL|affero|general public|proprietary|commercial", re.IGNORECASE)
EXCEPTIONS: Mapping[str, str] = {}
"""Package → why its licence is fine though it is not in the list."""


def refused_licences(licences: Mapping[str, str], exceptions: Mapping[str, str] = EXCEPTIONS) -> dict[str, str]:
    """Packages whose licence is not allowed → the licence. One of several that a package offers is enough."""
    return {
        name: (licence.splitlines() or ["none"])[0][:80]
        for name, licence in sorted(licences.items())
        if name not in exceptions and not any(_allowed(one) for one in re.split(r"\bOR\b|;", licence))
    }


def _allowed(licence: str) -> bool:
    # The lesser licences have the others' names in their own.
    strict = re.sub(r"LGPL\S*|Library or Lesser General Public", "", licence, flags=re.IGNORECASE)
    return bool(ALLOWED.search(licence)) and not FORBIDDEN.search(strict)


def names_of(lock: Path) -> dict[str, str]:
    """Package → version, as a lock has them."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return {name.lower().replace("_", "-").replace(".", "-"): version for name, version in found}


def check_licences() -> list[str]:
    """What is wrong with the licences of the packages that images install, as far as they are installed here."""
    found = json.loads(_run("pip-licenses", f"--python={sys.executable}", "--format=json", "--from=mixed").stdout)
    shipped = {name for service in SERVICES for name in names_of(LOCKS / f"{service}.txt")}
    licences = {one["Name"].lower().replace("_", "-").replace(".", "-"): one["License"] for one in found}
    refused = refused_licences({name: licence for name, licence in licences.items() if name in shipped})
    return [f"licence of {name}: {licence}" for name, licence in refused.items()]


def check_vulnerabilities() -> list[str]:
    """What is known against the packages of the locks; says so where nothing can be asked."""
    wrong: dict[str, None] = {}
    for service in SERVICES:
        lock = (
            "-r",
            str(LOCKS / f"{service}.txt"),
            "--no-deps",
            "--disable-pip",
            "-f",
            "json",
            "--progress-spinner=off",
        )
        done = _run("pip-audit", *lock, "--timeout", "10")
        try:
            asked: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
        except (ValueError, KeyError):
            asked = []
        if not any("vulns" in one for one in asked):
            print("vulnerabilities: no advisory database can be asked from here: left out")
            return []
        for one in asked:
            for known in one.get("vulns", ()):
                wrong[f"{one['name']} {one['version']}: {known['id']}, mended in {known['fix_versions']}"] = None
    return list(wrong)


def write_bills(folder: Path, services: Iterable[str] = SERVICES) -> list[Path]:
    """A bill of materials for each image's lock."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for service in services:
        path = folder / f"{service}.cdx.json"
        options = ("--output-reproducible", "--spec-version=1.6", "--output-file", str(path))
        done = _run("cyclonedx-py", "requirements", str(LOCKS / f"{service}.txt"), *options)
        if done.returncode:
            raise SystemExit(f"no bill of materials for {service}: {done.stderr[-500:]}")
        paths.append(path)
    return paths


def _run(tool: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [TOOLS / tool, *arguments], capture_output=True, text=True, timeout=5 * SECONDS, check=False, cwd=ROOT
    )


def main() -> None:
    """Print what is wrong; ends with 1 where something is."""
    for path in write_bills(ROOT / "build" / "sbom"):
        print(f"bill of materials: {path.relative_to(ROOT)}")
    wrong = [*check_licences(), *check_vulnerabilities()]
    for one in wrong:
        print(one)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
