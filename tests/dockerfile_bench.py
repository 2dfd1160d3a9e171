"""A Dockerfile replayed without an engine: its own steps in a folder that stands for the container's root.

What this leaves out: the base image (this machine's Python stands for it), the user that is made (this machine's users
stay as they are), and the read-only root.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEPT = ("PIP_", "SSL_", "REQUESTS_CA_BUNDLE", "LANG", "TZ")
"""Variables of this machine that a step may see: where packages come from, and certificates."""


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, the rest) of every step, with continued lines joined and comments left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    steps = (line.split(None, 1) for line in joined.splitlines())
    return [(step[0], re.sub(r"\s+", " ", step[1]).strip()) for step in steps]


@dataclass
class Replay:
    """One image as a folder."""

    root: Path
    service: str
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def build(self) -> None:
        """Do every step, in the order of the file. Raises CalledProcessError for one that fails."""
        for name in ("opt", "srv", "data", "tmp", "bin"):
            (self.root / name).mkdir(parents=True)
        # What a base image for CPUs brings along: `python3`, which the steps call by name.
        (self.root / "bin" / "python3").symlink_to(sys._base_executable)  # type: ignore[attr-defined]
        for name, rest in instructions((ROOT / "docker" / f"{self.service}.Dockerfile").read_text()):
            getattr(self, f"_{name.lower()}")(rest)

    def here(self, text: str) -> str:
        """The text with the container's folders as those of this root."""
        return re.sub(r"(?<![\w./])/(opt|srv|data|tmp)\b", lambda found: str(self.root / found[1]), text)

    def variables(self, more: dict[str, str]) -> dict[str, str]:
        """What a process in the container would have, and no variable of ours."""
        outside = {key: value for key, value in os.environ.items() if key.startswith(KEPT)}
        base = {"PATH": f"{self.root / 'bin'}:{os.defpath}", "HOME": str(self.root / "tmp"), "OMP_NUM_THREADS": "1"}
        return outside | base | self.environment | {"TMPDIR": str(self.root / "tmp")} | more

    def command(self, parts: Sequence[str]) -> list[str]:
        """The parts with the program found on the container's path."""
        found = shutil.which(parts[0], path=self.environment["PATH"])
        assert found is not None and Path(found).is_relative_to(self.root), f"{parts[0]}: {found}"
        return [found, *parts[1:]]

    def _run(self, rest: str) -> None:
        if "useradd" in rest:
            self.left_out.append(rest)
            return
        # A cache and code that is compiled when it is wanted change nothing but the time.
        script = self.here(rest.replace("--no-cache-dir", "--no-compile"))
        subprocess.run(["sh", "-ec", script], check=True, env=self.variables({}), cwd=self.root, timeout=900)

    def _copy(self, rest: str) -> None:
        source, target = rest.split()[-2:]
        if rest.startswith("--from=build"):
            assert source == target  # both stages are one folder here
            return
        path, place = ROOT / source, Path(self.here(target))
        if path.is_dir():
            shutil.copytree(path, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(path, place)

    def _env(self, rest: str) -> None:
        for key, value in re.findall(r"(\w+)=(\S+)", rest):
            self.environment[key] = self.here(value).replace("$PATH", f"{self.root / 'bin'}:{os.defpath}")

    def _healthcheck(self, rest: str) -> None:
        self.health = json.loads(rest.partition("CMD ")[2])

    def _entrypoint(self, rest: str) -> None:
        self.entrypoint = json.loads(rest)

    def _ignored(self, rest: str) -> None:
        """Labels and ports say, and do nothing; user and working folder are the caller's."""

    _from = _arg = _label = _user = _workdir = _expose = _ignored
