"""The launcher in real processes: it becomes the command, and the command does not outlive its parent."""

import os
import signal
import subprocess
import sys
import time

import pytest

from processes import gone

LAUNCHER = (sys.executable, "-m", "mstar_embedded.launcher")
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
PARENT = (
    "import os, subprocess, sys;"
    "launcher = [sys.executable, '-m', 'mstar_embedded.launcher', str(os.getpid())];"
    "subprocess.run([*launcher, sys.executable, '-c', sys.argv[1]])"
)
SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def test_the_launcher_becomes_the_command() -> None:
    code = "import os, sys; print(os.getpid(), *sys.argv[1:]); sys.exit(7)"
    command = [*LAUNCHER, str(os.getpid()), sys.executable, "-c", code, "a b", "--c"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        said, _ = process.communicate(timeout=60)
    assert (said.split(maxsplit=1), process.returncode) == ([str(process.pid), "a b --c\n"], 7)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux only")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_command_dies_with_its_parent(number: signal.Signals) -> None:
    parent = (sys.executable, "-c", PARENT, SLEEP)
    with subprocess.Popen(parent, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert not gone(child)
        process.send_signal(number)
        process.wait(60)
    deadline = time.monotonic() + 30
    while not gone(child):
        assert time.monotonic() < deadline, "the command outlived its parent"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux only")
def test_a_parent_that_died_before_is_noticed() -> None:
    command = [*LAUNCHER, str(os.getpid() + 1), sys.executable, "-c", "print('ran')"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "died before its child began" in done.stderr
