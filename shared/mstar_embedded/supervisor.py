"""Starts the stack, keeps it running, and leaves nothing behind.

A child that dies is started again after a growing pause, for as long as it takes; the others go on meanwhile. One that
does not stay up for minutes is a `failure`, with its last words. The children live in process groups of their own and
can't outlive this process (see `launcher`).
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from mstar.errors import Conflict, StorageFull, Unavailable
from mstar.host_memory import Ending
from mstar.leftovers import collect, owned_prefix
from mstar_artefacts.staging import collect_staging
from mstar_embedded.ports import Ports
from mstar_embedded.processes import ProcessSpec, child_environment, stack

LEAST_FREE_BYTES = 500_000_000
START_SECONDS = 300.0
"""Several stacks may load their models on the same cores at the same time."""
STOP_SECONDS = 10.0
QUICK_DEATH_SECONDS = 5.0
PATIENCE_SECONDS = 120.0
"""A child that has kept dying for this long is a failure."""
LONGEST_PAUSE = 30.0
LOG_END_BYTES = 65_536
"""In which a child's last line is looked for."""
LOG_BYTES = 64 * 2**20
"""How long a child's log grows before it is begun anew; the one before is kept beside it."""
LOG_LOOK_SECONDS = 10.0
RUNTIME_PREFIX = "mstar-up-"

Notice = Callable[[str], None]


class _Child:
    """One supervised process."""

    def __init__(self, spec: ProcessSpec, log: Path) -> None:
        self.spec = spec
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self._ending = Ending()
        self.started = 0.0
        self.quick_deaths = 0
        self.dying_since: float | None = None
        """Time of the first quick death, on the monotonic clock; None once it stays up."""
        self.due = 0.0
        """When to start again after a death, on the monotonic clock."""

    def start(self) -> None:
        # Also for a start that fails, so that it counts as a quick death.
        self.started = time.monotonic()
        self._ending = Ending()
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mstar_embedded.launcher", str(os.getpid()), *self.spec.command],
                env=child_environment(self.spec),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # A group of its own, which is killed as a whole: a trainer has ranks, vLLM an engine.
                start_new_session=True,
            )

    def died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def up(self) -> bool:
        if self.spec.ready is not None:
            return self.spec.ready()
        if self.spec.live_url is None:
            return self.process is not None and self.process.poll() is None
        try:
            with urllib.request.urlopen(self.spec.live_url, timeout=2) as reply:  # noqa: S310 - our own http URL
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def end(self) -> str:
        """How it died, which its log cannot say of one that was killed."""
        code = 0 if self.process is None else self.process.returncode
        return f"died {'by' if code < 0 else 'with'} {self._ending.of(code)}"

    def last_words(self) -> str:
        lines = _end_of(self.log) or _end_of(old_log(self.log))
        return lines[-1][:400] if lines else "it said nothing"

    def turn_log(self, most: int) -> None:
        """Begin the log anew once it is longer than this many bytes.

        Raises OSError; nothing of the log is lost then.
        """
        if not self.log.is_file() or self.log.stat().st_size <= most:
            return
        old = old_log(self.log)
        try:
            with open(self.log, "rb") as source, open(old, "wb") as sink:
                shutil.copyfileobj(source, sink)
        except OSError:
            old.unlink(missing_ok=True)
            raise
        # Not renamed: the child holds the file open. It writes at the end, which is the beginning from now on.
        os.truncate(self.log, 0)

    def signal(self, number: int) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


def old_log(log: Path) -> Path:
    """Where a log goes when it is begun anew."""
    return log.with_name(f"{log.name}.1")


def _end_of(log: Path) -> list[str]:
    """The last lines of a log; none where there is no log."""
    try:
        with open(log, "rb") as file:
            # Its end alone: it may be larger than what one wants to hold in memory.
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_END_BYTES))
            return file.read(LOG_END_BYTES).decode(errors="replace").strip().splitlines()
    except OSError:
        return []


class Supervisor:
    """The running stack, as a context manager."""

    def __init__(
        self,
        home: Path,
        ports: Ports,
        notice: Notice = lambda line: None,
        specs: Sequence[ProcessSpec] | None = None,
        patience: float = PATIENCE_SECONDS,
        log_bytes: int = LOG_BYTES,
    ) -> None:
        """`specs`: what to run instead of the whole stack; the first is up before the others start, and stops last.

        `log_bytes`: what a child's log may have before it is begun anew.
        """
        self._log_bytes = log_bytes
        self._logs_due = 0.0
        self.home = home.absolute()
        self.ports = ports
        self._notice = notice
        self._patience = patience
        self._stopping = threading.Event()
        collect(RUNTIME_PREFIX)
        # Before anything is made outside of the home, which nobody would remove where the home cannot be written.
        self.logs.mkdir(parents=True, exist_ok=True)
        self._runtime = Path(tempfile.mkdtemp(prefix=owned_prefix(RUNTIME_PREFIX)))
        self._lock: IO[str] | None = None
        try:
            self._children = self._plan(specs or stack(self.home, ports, self.socket, self._broker_answers))
        except BaseException:
            shutil.rmtree(self._runtime, ignore_errors=True)
            raise
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    @property
    def socket(self) -> Path:
        """Unix socket of the broker; its folder is short, since a socket's path may have 107 characters at most."""
        return self._runtime / "broker.sock"

    @property
    def logs(self) -> Path:
        return self.home / ".mstar" / "logs"

    def __enter__(self) -> Self:
        try:
            self._reserve()
            self._start()
        except BaseException:
            self._stop()
            raise
        self._watcher.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def pids(self) -> dict[str, int]:
        """Process id of each child that runs."""
        running = [child for child in self._children if child.process is not None and child.process.poll() is None]
        return {child.spec.name: child.process.pid for child in running if child.process is not None}

    @property
    def failure(self) -> str | None:
        """Which child keeps dying, with its last words; None while all of them stay up."""
        late = time.monotonic() - self._patience
        dying = [child for child in self._children if child.dying_since is not None and child.dying_since < late]
        return f"{dying[0].spec.name} keeps dying: {dying[0].last_words()}" if dying else None

    def _tell(self, line: str) -> None:
        """Give a notice from the watcher. Who reads them may be gone (`mstar up | head`); the children stay watched."""
        # rich ends the program at a closed pipe, which here would end this thread alone.
        with contextlib.suppress(Exception, SystemExit):
            self._notice(line)

    def _plan(self, specs: Sequence[ProcessSpec]) -> list[_Child]:
        return [_Child(spec, self.logs / f"{spec.name}.log") for spec in specs]

    def _reserve(self) -> None:
        """One supervisor for a home, and room to work. Raises Conflict or StorageFull before anything starts."""
        self._lock = open(self.home / ".mstar" / "supervisor.lock", "w")  # noqa: SIM115 - held while running
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(f"another `mstar up` runs on {self.home}: use it, or choose another --home") from None
        free = shutil.disk_usage(self.home).free
        if free < LEAST_FREE_BYTES:
            raise StorageFull(f"{self.home} has {free // 10**6} MB left: free at least {LEAST_FREE_BYTES // 10**6} MB")

    def _start(self) -> None:
        # This home's lock is held and all children of a supervisor die with it, so nobody writes below.
        collect_staging(self.home, older_than=0)
        broker, *others = self._children
        broker.start()
        self._await([broker])
        for child in others:
            self._notice(f"starting {child.spec.name}")
            child.start()
        self._await(others)

    def _await(self, children: Sequence[_Child]) -> None:
        # All start at once, since each loads for seconds; only the broker comes before them.
        deadline = time.monotonic() + START_SECONDS
        waiting = list(children)
        while waiting:
            for child in list(waiting):
                if child.died():
                    raise Unavailable(f"{child.spec.name} did not start: {child.last_words()}")
                if child.up():
                    waiting.remove(child)
                    self._notice(f"{child.spec.name} is up")
            if time.monotonic() > deadline:
                names = ", ".join(child.spec.name for child in waiting)
                raise Unavailable(f"{names} did not come up within {START_SECONDS:.0f} s: see {self.logs}")
            time.sleep(0.1)

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            for child in self._children:
                if child.died():
                    self._revive(child)
                elif child.quick_deaths and time.monotonic() - child.started > QUICK_DEATH_SECONDS:
                    child.quick_deaths, child.dying_since = 0, None
                    self._tell(f"{child.spec.name} stays up again")
            if time.monotonic() >= self._logs_due:
                self._turn_logs()

    def _turn_logs(self) -> None:
        self._logs_due = time.monotonic() + LOG_LOOK_SECONDS
        for child in self._children:
            # A full disk, on which no log grows either: the next look may find room.
            with contextlib.suppress(OSError):
                child.turn_log(self._log_bytes)

    def _revive(self, child: _Child) -> None:
        """Start a dead child again when its pause is over."""
        now = time.monotonic()
        if not child.due:
            quick = now - child.started < QUICK_DEATH_SECONDS
            child.quick_deaths = child.quick_deaths + 1 if quick else 0
            child.dying_since = (child.dying_since or now) if quick else None
            # One that dies at once again and again would fill a core and the log.
            pause = min(0.2 * 2**child.quick_deaths, LONGEST_PAUSE)
            child.due = now + pause
            self._tell(f"{child.spec.name} {child.end()}: starting it again in {pause:.1f} s ({child.last_words()})")
            # What it had started would hold ports and memory that its successor needs.
            child.signal(signal.SIGKILL)
        if now >= child.due and not self._stopping.is_set():
            child.due = 0.0
            try:
                child.start()
            except OSError as error:
                # No memory, process or file is free now. The thread must go on: it is what revives the others too.
                self._tell(f"{child.spec.name} cannot be started: {error.strerror}")

    def _stop(self) -> None:
        """Workers first, so that they give their steps back while the coordinator still answers; the broker last."""
        # First of all, or the watcher would start again what is stopped here.
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join()
        broker, *others = self._children
        workers = [child for child in others if child.spec.stops_first]
        services = [child for child in others if not child.spec.stops_first]
        for group in (workers, services, [broker]):
            for child in group:
                child.signal(signal.SIGTERM)
            self._reap(group)
        shutil.rmtree(self._runtime, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    def _reap(self, children: Sequence[_Child]) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        for child in children:
            if child.process is None:
                continue
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.1, deadline - time.monotonic()))
            # The whole group, since a child may have children of its own.
            child.signal(signal.SIGKILL)
            child.process.wait()

    def _broker_answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False
