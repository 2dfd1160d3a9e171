"""A Dockerfile replayed without an engine: its own steps in a folder that stands for the container's root.

What this leaves out: the base image, for which this machine's Python stands, and the user's entry in its passwd file.
The machine's users stay as they are, so the processes run as one that has no name.

Images that are replayed in one folder after another share what they install, as layers of images do: a package stays
when the next lock pins it as well, and all others go before its first step.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from borrowed_code import lend

ROOT = Path(__file__).parents[2]
KEPT = ("PIP_", "TORCH_INDEX", "SSL_", "REQUESTS_CA_BUNDLE", "LANG", "TZ")
"""Variables of this machine that a step may see: where packages come from, and certificates."""
WRITABLE = ("data", "tmp")
"""What a container with a read-only root may write to."""
BROUGHT = frozenset({"pip", "setuptools"})
"""Packages that a new virtual environment has."""


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
    user: tuple[int, int] = (0, 0)
    left_out: list[str] = field(default_factory=list)

    def build(self) -> None:
        """Do every step, in the order of the file. Raises CalledProcessError for one that fails."""
        self._take_over()
        for name in ("opt", "srv", "data", "tmp"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        if not (self.root / "usr").exists():
            self._bring_python()
        # An image has its packages compiled. Most of that is here, and the rest is compiled once for all images.
        lend(self.pinned(), self._packages, self._compiled)
        for name, rest in self._steps():
            getattr(self, f"_{name.lower()}")(rest)
        self._make_read_only()
        self._built.write_text(self.service)

    def pinned(self) -> set[str]:
        """Packages that the image's locks name for this platform, and torch where its steps install it."""
        names = {"torch"} if any("torch==" in rest for _, rest in self._steps()) else set()
        for source in re.findall(r"docker/locks/\S+", "\n".join(rest for _, rest in self._steps())):
            lines = re.findall(r"^[a-z0-9].*?(?= *\\?$)", (ROOT / source).read_text(), re.M)
            for one in map(Requirement, lines):
                if one.marker is None or one.marker.evaluate():
                    names.add(canonicalize_name(one.name))
        return names

    def installed(self) -> set[str]:
        """Packages of the image's own environment."""
        return {canonicalize_name(one.name) for one in distributions(path=[str(self._packages)])}

    def here(self, text: str) -> str:
        """The text with the container's folders as those of this root."""
        return re.sub(r"(?<![\w./])/(opt|srv|data|tmp)\b", lambda found: str(self.root / found[1]), text)

    def variables(self, more: dict[str, str]) -> dict[str, str]:
        """What a process in the container would have, and no variable of ours."""
        outside = {key: value for key, value in os.environ.items() if key.startswith(KEPT)}
        base = {"PATH": self._path, "HOME": str(self.root / "tmp"), "OMP_NUM_THREADS": "1"}
        if (own := self.root / "usr" / "lib").exists():
            base["LD_LIBRARY_PATH"] = str(own)
        compiled = {"PYTHONPYCACHEPREFIX": str(self._compiled), "PYTHONDONTWRITEBYTECODE": ""}
        return outside | base | self.environment | {"TMPDIR": str(self.root / "tmp")} | compiled | more

    def command(self, parts: Sequence[str]) -> list[str]:
        """The parts with the program found on the container's path."""
        found = shutil.which(parts[0], path=self.environment["PATH"])
        assert found is not None and Path(found).is_relative_to(self.root), f"{parts[0]}: {found}"
        return [found, *parts[1:]]

    def start(self, command: Sequence[str], more: dict[str, str], **io: Any) -> "subprocess.Popen[bytes]":
        """A process of the container, as the image's user where this one may change to it."""
        user, group = self.user
        own = {"user": user, "group": group, "extra_groups": []} if os.geteuid() == 0 else {}
        return subprocess.Popen(
            self.command(command), env=self.variables(more), cwd=self.root / "data", umask=0o022, **own, **io
        )

    def written(self) -> list[str]:
        """Files outside of the writable folders that are younger than the image."""
        return [str(path) for path in self._tree() if path.lstat().st_ctime > self._finished]

    @property
    def _path(self) -> str:
        return f"{self.root / 'usr' / 'bin'}:{os.defpath}"

    @property
    def _built(self) -> Path:
        return self.root.parent / "built"

    @property
    def _packages(self) -> Path:
        major, minor = sys.version_info[:2]
        return self.root / "opt" / "mstar" / "lib" / f"python{major}.{minor}" / "site-packages"

    @property
    def _compiled(self) -> Path:
        return self.root.parent / "compiled"

    def _steps(self) -> list[tuple[str, str]]:
        return instructions((ROOT / "docker" / f"{self.service}.Dockerfile").read_text())

    def _take_over(self) -> None:
        """Leave of the image that is there its Python, and the packages that this one pins as well.

        Nothing is left of one that was not finished, or of this same one: its steps removed parts of packages.
        """
        former = self._built.read_text() if self._built.exists() else self.service
        self._built.unlink(missing_ok=True)
        if not self.root.exists():
            return
        for path in self._tree():
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o200)
        for name in ("srv", *WRITABLE) if former != self.service else os.listdir(self.root):
            shutil.rmtree(self.root / name)
        self._remove(self.installed() - self.pinned() - {"pip"})

    def _remove(self, needless: set[str]) -> None:
        """What `pip uninstall` does in ten times as long: it moves every file away first, to be able to go back."""
        folders: set[Path] = set()
        for one in distributions(path=[str(self._packages)]):
            if canonicalize_name(one.name) in needless:
                for file in one.files or ():
                    path = Path(str(one.locate_file(file)))
                    path.unlink(missing_ok=True)
                    folders |= set(path.relative_to(self._packages).parents) if ".." not in file.parts else set()
        for folder in sorted(folders - {Path()}, reverse=True):
            place = self._packages / folder
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()

    def _bring_python(self) -> None:
        """What a base image for CPUs brings along: `python3`, which the steps call by name.

        It is this machine's, or a copy where its folder is closed to the image's user.
        """
        found, prefix = Path(sys._base_executable).resolve(), Path(sys.base_prefix).resolve()  # type: ignore[attr-defined]
        if os.geteuid() == 0 and not all(folder.stat().st_mode & 0o001 for folder in found.parents):
            needless = shutil.ignore_patterns("site-packages", "test", "__pycache__")
            shutil.copytree(prefix, self.root / "usr", symlinks=True, ignore=needless)
            found = self.root / "usr" / found.relative_to(prefix)
        python = self.root / "usr" / "bin" / "python3"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.unlink(missing_ok=True)
        python.symlink_to(found)

    def _tree(self) -> Iterator[Path]:
        for name in ("opt", "srv", "usr"):
            yield self.root / name
            yield from (self.root / name).rglob("*")

    def _make_read_only(self) -> None:
        """Nothing but data and /tmp can be written, and those belong to the image's user.

        So does what Python compiles, which lies outside of the image.
        """
        for path in self._tree():
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)
        if os.geteuid() == 0:
            self._compiled.mkdir(exist_ok=True)
            for path in (*(self.root / name for name in WRITABLE), self._compiled, *self._compiled.rglob("*/")):
                os.chown(path, *self.user)
        self._finished = time.time()

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

    def _from(self, rest: str) -> None:
        """A stage begins with an empty /tmp, and with what it copies from the one before."""
        shutil.rmtree(self.root / "tmp")
        (self.root / "tmp").mkdir()

    def _user(self, rest: str) -> None:
        user, _, group = rest.partition(":")
        self.user = int(user), int(group)

    def _env(self, rest: str) -> None:
        for key, value in re.findall(r"(\w+)=(\S+)", rest):
            self.environment[key] = self.here(value).replace("$PATH", self._path)

    def _healthcheck(self, rest: str) -> None:
        self.health = json.loads(rest.partition("CMD ")[2])

    def _entrypoint(self, rest: str) -> None:
        self.entrypoint = json.loads(rest)

    def _ignored(self, rest: str) -> None:
        """Labels and ports say, and do nothing; every image works in /data."""

    _arg = _label = _workdir = _expose = _stopsignal = _ignored
