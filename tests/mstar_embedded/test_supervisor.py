"""The supervisor over small real processes: it starts, watches and restarts them, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mstar.errors import Conflict, Unavailable
from mstar_embedded.ports import Ports
from mstar_embedded.processes import ProcessSpec
from mstar_embedded.supervisor import Supervisor
from processes import gone

PATIENT = "import time; time.sleep(600)"
WITH_A_CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"


def spec(name: str, code: str = PATIENT) -> ProcessSpec:
    return ProcessSpec(name, (sys.executable, "-c", code))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_nothing_is_left_when_the_block_ends(tmp_path: Path) -> None:
    with Supervisor(tmp_path, Ports(), specs=[spec("broker"), spec("worker", WITH_A_CHILD)]) as supervisor:
        pids = supervisor.pids()
        assert list(pids) == ["broker", "worker"]
        until(lambda: len(psutil.Process(pids["worker"]).children()) == 1)
        everyone = [*pids.values(), psutil.Process(pids["worker"]).children()[0].pid]
    # A child's child is killed, and nobody waits for it: on a busy machine it is gone a moment later.
    until(lambda: all(gone(pid) for pid in everyone))


def test_a_killed_child_comes_back(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(tmp_path, Ports(), said.append, [spec("broker"), spec("worker")]) as supervisor:
        first = supervisor.pids()["worker"]
        os.kill(first, signal.SIGKILL)
        until(lambda: supervisor.pids().get("worker", first) != first)
        assert supervisor.failure is None
    assert any(line.startswith("worker died by SIGKILL: starting it again") for line in said)


@pytest.mark.parametrize("error", [BrokenPipeError("who read is gone"), SystemExit(1)])
def test_children_are_watched_though_nobody_can_be_told(tmp_path: Path, error: BaseException) -> None:
    def notice(line: str) -> None:
        if "starting it again" in line:
            raise error

    with Supervisor(tmp_path, Ports(), notice, [spec("broker"), spec("worker")]) as supervisor:
        for _ in range(2):
            before = supervisor.pids()["worker"]
            os.kill(before, signal.SIGKILL)
            until(lambda before=before: supervisor.pids().get("worker", before) != before)  # type: ignore[misc]


def test_a_child_that_cannot_be_started_for_a_while_comes_back(tmp_path: Path) -> None:
    said: list[str] = []
    with Supervisor(tmp_path, Ports(), said.append, [spec("broker"), spec("worker")]) as supervisor:
        first = supervisor.pids()["worker"]
        log = supervisor.logs / "worker.log"
        log.unlink()
        # A log that is a folder cannot be opened: the start fails as it does where no file or process is free.
        log.mkdir()
        os.kill(first, signal.SIGKILL)
        until(lambda: "worker cannot be started: Is a directory" in said)
        log.rmdir()
        until(lambda: supervisor.pids().get("worker", first) != first)


def test_a_log_that_has_grown_long_is_begun_anew_and_the_one_before_is_kept(tmp_path: Path) -> None:
    chatty = "import time\nfor n in range(10**6): print(n, flush=True); time.sleep(0.01)"
    with Supervisor(tmp_path, Ports(), specs=[spec("broker"), spec("worker", chatty)], log_bytes=100) as supervisor:
        log = supervisor.logs / "worker.log"
        until(lambda: log.stat().st_size > 200)
        supervisor._turn_logs()
        until(lambda: log.stat().st_size > 0)
        old = log.with_name("worker.log.1")
        assert old.read_text().startswith("0\n1\n") and old.stat().st_size > 200
        # Written from the beginning on, without a hole where the old lines were.
        until(lambda: len(log.read_text().splitlines()) > 2)
        assert int(log.read_text().splitlines()[0]) >= len(old.read_text().splitlines()) - 1
        assert supervisor.failure is None
    assert not list(supervisor.logs.glob("broker.log.1"))


def test_one_that_keeps_dying_is_told_of_and_the_others_go_on(tmp_path: Path) -> None:
    well = tmp_path / "well"
    code = f"import pathlib, sys, time; pathlib.Path({str(well)!r}).exists() or sys.exit('no room'); time.sleep(600)"
    hasty = ProcessSpec("worker", (sys.executable, "-c", code), ready=lambda: True)
    with Supervisor(tmp_path, Ports(), specs=[spec("broker"), spec("policy"), hasty], patience=1) as supervisor:
        before = supervisor.pids()["policy"]
        until(lambda: supervisor.failure is not None)
        assert supervisor.failure == "worker keeps dying: no room"
        assert supervisor.pids()["policy"] == before
        well.touch()
        until(lambda: supervisor.failure is None)
        assert supervisor.pids().keys() == {"broker", "policy", "worker"}


def test_workers_are_gone_before_the_services_are_told_to_stop(tmp_path: Path) -> None:
    """Each writes the time of its end; a worker takes a while, as one does that gives its step back."""
    code = (
        "import pathlib, signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(float(sys.argv[2])); pathlib.Path(sys.argv[1]).write_text(str(time.time())); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "pathlib.Path(sys.argv[1] + '.up').touch()\n"
        "while True: time.sleep(0.1)"
    )

    def one(name: str, seconds: str, *, first: bool = False) -> ProcessSpec:
        up = tmp_path / f"{name}.up"
        command = (sys.executable, "-c", code, str(tmp_path / name), seconds)
        return ProcessSpec(name, command, ready=up.exists, stops_first=first)

    specs = [one("broker", "0"), one("coordinator", "0"), one("worker", "0.5", first=True)]
    with Supervisor(tmp_path, Ports(), specs=specs):
        pass
    ended = {name: float((tmp_path / name).read_text()) for name in ("worker", "coordinator", "broker")}
    assert ended["worker"] < ended["coordinator"] < ended["broker"]


def test_a_child_that_does_not_start_ends_everything(tmp_path: Path) -> None:
    broken = ProcessSpec(
        "policy", (sys.executable, "-c", "raise SystemExit('weights?')"), live_url="http://127.0.0.1:9"
    )
    supervisor = Supervisor(tmp_path, Ports(), specs=[spec("broker"), broken])
    with pytest.raises(Unavailable, match=r"policy did not start: weights\?"), supervisor:
        pass
    assert supervisor.pids() == {}


def test_a_home_has_one_supervisor(tmp_path: Path) -> None:
    with (
        Supervisor(tmp_path, Ports(), specs=[spec("broker")]),
        pytest.raises(Conflict, match="another `mstar up` runs"),
        Supervisor(tmp_path, Ports(), specs=[spec("broker")]),
    ):
        pass
    with Supervisor(tmp_path, Ports(), specs=[spec("broker")]) as after:
        assert "broker" in after.pids()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux only")
def test_children_die_with_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from mstar_embedded.ports import Ports;"
        "from mstar_embedded.processes import ProcessSpec; from mstar_embedded.supervisor import Supervisor;"
        f"sleep = (sys.executable, '-c', {PATIENT!r});"
        f"s = Supervisor(Path({str(tmp_path)!r}), Ports(), specs=[ProcessSpec('a', sleep), ProcessSpec('b', sleep)]);"
        "s.__enter__(); print(*s.pids().values(), flush=True); time.sleep(600)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2
        process.kill()
    until(lambda: all(gone(pid) for pid in pids))
