"""A program that is forked behaves as one that is started: streams, environment, exit codes, signals, and its end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import setuptools

from mstar_embedded.processes import ProcessSpec, child_environment
from warm_server import Request
from warm_starts import COLD_PYTHON, LIBRARIES

pytestmark = pytest.mark.skipif(sys.executable == COLD_PYTHON, reason="programs are started the usual way here")
Program = subprocess.Popen[str]
SUPPORT = str(Path(__file__).parents[1] / "support")
"""Where the probe is. Other tests may add to this process's sys.path."""


@contextmanager
def probe(folder: Path, *arguments: str, **variables: str) -> Iterator[tuple[Program, dict[str, Any]]]:
    """The program and what it says of itself."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = {"COLOUR": "green", "PYTHONPATH": SUPPORT} | variables
    command = [sys.executable, "-m", "warm_probe", *arguments]
    with subprocess.Popen(command, text=True, cwd=folder, env=environment, umask=0o027, **pipes) as program:
        try:
            assert program.stdout is not None
            yield program, json.loads(program.stdout.readline())
        finally:
            program.kill()


def test_it_gets_what_a_program_gets_and_is_another_process(tmp_path: Path) -> None:
    with probe(tmp_path, "a b", "--c") as (program, given):
        assert program.pid != given.pop("pid")
        said, complaint = program.communicate("exit 3\n", timeout=60)
    expected = {"arguments": ["a b", "--c"], "folder": str(tmp_path), "umask": 0o027, "colour": "green"}
    assert given == expected | {"executable": sys.executable}
    assert (said, complaint, program.returncode) == ("", "to standard error\n", 3)


def test_an_error_is_told_as_by_an_interpreter(tmp_path: Path) -> None:
    with probe(tmp_path) as (program, _):
        complaint = program.communicate("raise it broke\n", timeout=60)[1]
    assert complaint.endswith("RuntimeError: it broke\n") and program.returncode == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 7), (signal.SIGUSR1, -signal.SIGUSR1)])
def test_a_signal_reaches_it(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with probe(tmp_path) as (program, given):
        program.send_signal(number)
        assert program.wait(60) == code
    assert not Path(f"/proc/{given['pid']}").exists()


def test_it_dies_with_its_stub_and_the_stub_with_it(tmp_path: Path) -> None:
    with probe(tmp_path) as (program, given):
        program.kill()
        deadline = time.monotonic() + 60
        while Path(f"/proc/{given['pid']}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    with probe(tmp_path) as (program, given):
        os.kill(given["pid"], signal.SIGKILL)
        assert program.wait(60) == -signal.SIGKILL


def test_variables_that_libraries_find_the_same_need_no_imports_of_their_own() -> None:
    def key(environment: dict[str, str]) -> object:
        return Request(["-m", "mstar_prm"], environment, "/", 0o022, 0, [0], []).key

    given = {"HOME": os.path.expanduser("~"), "CUDA_VISIBLE_DEVICES": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}
    assert key(given) == key({}) != key({"HF_HUB_OFFLINE": "1"})
    stack = child_environment(ProcessSpec("prm", ()))
    assert all(stack[name] == value for name, value in LIBRARIES.items() if name != "OMP_NUM_THREADS")


def test_a_librarys_own_folder_in_the_path_is_no_foreign_code(tmp_path: Path) -> None:
    def foreign(folder: Path) -> list[str]:
        environment = {"PYTHONPATH": os.pathsep.join([SUPPORT, str(folder)])}
        return Request(["-m", "mstar_prm"], environment, "/", 0o022, 0, [0], []).foreign_folders

    own = Path(setuptools.__file__).parent / "_vendor"
    assert own.is_dir() and foreign(own) == []
    assert foreign(tmp_path) == [str(tmp_path)]


@pytest.mark.parametrize("variable", ["PYTHONHASHSEED", "PYTHONPATH"])
def test_what_only_a_fresh_interpreter_can_do_is_left_to_one(tmp_path: Path, variable: str) -> None:
    value = {"PYTHONHASHSEED": "1", "PYTHONPATH": f"{tmp_path}{os.pathsep}{SUPPORT}"}[variable]
    with probe(tmp_path, **{variable: value}) as (program, given):
        assert given["pid"] == program.pid and given["executable"] == COLD_PYTHON


@pytest.fixture(scope="module")
def opencv() -> None:
    """Stands for a fixture that imports it."""
    os.environ["LD_LIBRARY_PATH"] = "/lib64"


def test_a_test_and_a_fixture_may_leave_variables(opencv: None) -> None:
    """As vLLM's start does; a program that is given them is started from scratch."""
    assert "LD_LIBRARY_PATH" not in os.environ
    os.environ["LD_PRELOAD"] = ""


def test_the_next_one_finds_them_no_more() -> None:
    assert not {"LD_LIBRARY_PATH", "LD_PRELOAD"} & os.environ.keys()
