"""The documentation: its generated pages equal the code, and the site builds without a warning."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages as the code makes them now, in a process of its own, since apps read the environment."""
    folder = tmp_path_factory.mktemp("reference")
    subprocess.run([sys.executable, REFERENCE / "generate.py", folder], check=True, env=_environment(), timeout=600)
    return folder


@pytest.mark.parametrize("page", ["recipe.md", "settings.md", "cli.md", "api.md"])
def test_the_reference_is_what_the_code_says(made: Path, page: str) -> None:
    assert (REFERENCE / page).read_text() == (made / page).read_text(), "run `make docs`"


@pytest.mark.parametrize("page", ["recipe.md", "settings.md"])
def test_every_field_has_a_sentence(made: Path, page: str) -> None:
    rows = [line for line in (made / page).read_text().splitlines() if line.startswith("| `")]
    assert rows
    assert not [row.split("|")[1] for row in rows if not row.split("|")[-2].strip()]


def test_the_site_builds(tmp_path: Path) -> None:
    """Strict: a link to a page or heading that is not there fails."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, env=_environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in ("index", "getting-started", "reference/recipe"):
        text = (tmp_path / "build" / "docs" / f"{page}.html").read_text()
        assert '<link rel="preconnect" href="https://fonts' not in text


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MSTAR_")}
