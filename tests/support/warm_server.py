"""Forks programs off processes that have imported their libraries: `warm_server.py SOCKET PARENT_PID`.

A stub (`warm_stub`) connects, sends what a program inherits, and hands over its streams. For each set of modules that
programs need, and for each set of the variables that libraries read while they are imported, there is one process that
imports them once and then only forks. It has no thread besides the first one: of a lock that another thread held, no
child could get hold.
"""

import atexit
import ctypes
import gc
import importlib
import io
import json
import os
import resource
import runpy
import select
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warm_starts import imports_of
from warm_stub import FORKED

PR_SET_PDEATHSIG = 1
_ROOT = str(Path(__file__).parents[2])
READ_BY_LIBRARIES = (
    *("DS_", "GOMP_", "HF_", "HOME", "HUGGINGFACE", "MALLOC_", "MKL_", "OMP_"),
    *("OPENBLAS_", "TOKENIZERS_", "TORCH_", "TRANSFORMERS_", "TZ", "XDG_"),
)
"""Beginnings of variables that are read while a library is imported. The locale is this interpreter's in any case.

Not CUDA's, since there is no GPU, and not vLLM's, which a program imports after it is forked.
"""
UNLESS_GIVEN = {"HOME": os.path.expanduser("~")}
"""What libraries find when a variable is not set."""
Key = tuple[tuple[str, ...], frozenset[tuple[str, str]]]
"""Modules, and variables that they read."""


@dataclass(frozen=True)
class Request:
    """What a program inherits."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    umask: int
    nice: int
    cores: list[int]
    limits: list[tuple[int, int, int]]

    @property
    def head(self) -> tuple[str, str]:
        return self.arguments[0], self.arguments[1]

    @property
    def key(self) -> Key:
        """Which process can fork it."""
        given = UNLESS_GIVEN | self.environment
        read = {item for item in given.items() if item[0].startswith(READ_BY_LIBRARIES)}
        return imports_of(self.head), frozenset(read)

    @property
    def foreign_folders(self) -> list[str]:
        """Folders from which it imports that are not ours.

        Not those of a library, such as the one that setuptools puts into the path once vLLM is imported.
        """
        paths = {os.path.abspath(path) for path in self.environment.get("PYTHONPATH", "").split(os.pathsep) if path}
        others = [path for path in sorted(paths - _OUR_PATHS) if not path.startswith(_LIBRARIES)]
        return [path for path in others if os.path.isdir(path)]


_OUR_PATHS = {os.path.abspath(path) for path in [*sys.path, _ROOT] if path}
_LIBRARIES = tuple(path + os.sep for path in _OUR_PATHS if path.endswith("site-packages"))


def serve(path: str) -> Request:
    """Take connections until this process is killed. Returns in the programs, to which it forks: what each is."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path + ".new")
    listener.listen(128)
    # The file appears once a connection is possible.
    os.rename(path + ".new", path)
    forkers: dict[Key, socket.socket] = {}
    # The processes that fork end with this one only.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        stub, _ = listener.accept()
        try:
            message, streams, _, _ = socket.recv_fds(stub, 2**20, 3)
        except OSError:
            stub.close()
            continue
        if message:
            request = Request(**json.loads(message))
            if foreign := request.foreign_folders:
                print("from scratch, for", *foreign, "in its path:", *request.arguments, file=sys.stderr, flush=True)
                stub.close()
                _close(streams)
                continue
            if request.key not in forkers:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                if os.fork() == 0:
                    for other in (listener, stub, ours, *forkers.values()):
                        other.close()
                    _close(streams)
                    return fork_programs(theirs, request)
                theirs.close()
                forkers[request.key] = ours
            try:
                socket.send_fds(forkers[request.key], [message], [*streams, stub.fileno()])
            except OSError:
                # It died of what it imported: the stub starts the program itself and shows why.
                forkers.pop(request.key).close()
        # Without an answer the stub starts the program itself.
        stub.close()
        _close(streams)


@dataclass
class _Programs:
    """Those that run, by the descriptor that becomes readable when they end."""

    pids: dict[int, int] = field(default_factory=dict)
    stubs: dict[int, socket.socket] = field(default_factory=dict)

    def add(self, pid: int, stub: socket.socket) -> None:
        ended = os.pidfd_open(pid)
        self.pids[ended], self.stubs[ended] = pid, stub

    def look(self, ready: set[int]) -> None:
        """Report the ends of programs, pass on signals, and kill those whose stub has died."""
        for ended, stub in list(self.stubs.items()):
            pid = self.pids[ended]
            if stub.fileno() in ready:
                word = _received(stub)
                _signal(pid, int(word) if word else signal.SIGKILL, group=not word)
                if not word:
                    # It is not heard any more, and would be ready for ever.
                    self._forget(ended)
                    os.waitpid(pid, 0)
                    continue
            if ended in ready:
                _, status = os.waitpid(pid, 0)
                _answer(stub, str(os.waitstatus_to_exitcode(status)).encode())
                self._forget(ended)

    def _forget(self, ended: int) -> None:
        os.close(ended)
        self.stubs.pop(ended).close()
        del self.pids[ended]

    def close(self) -> None:
        """Let go of them in a process that was just forked."""
        for ended in list(self.pids):
            self._forget(ended)


def fork_programs(control: socket.socket, first: Request) -> Request:
    """Import what the first one needs, then fork one for each request. Returns in these processes only."""
    _die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _become(first.environment)
    # DeepSpeed looks for it while it is imported, and the program sets it only then.
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    # In the log that lies beside the socket: more of these lines than expected mean variables that differ.
    print("imports for", *first.head, "with", *sorted(first.key[1]), file=sys.stderr, flush=True)
    for name in imports_of(first.head):
        importlib.import_module(name)
    if len(os.listdir("/proc/self/task")) > 1:
        sys.exit(f"what {first.head} imports starts threads, so it can't be forked")
    gc.collect()
    # A collection in a child would write to every page that it shares.
    gc.freeze()
    programs = _Programs()
    while True:
        waiting = [control.fileno(), *programs.pids, *(stub.fileno() for stub in programs.stubs.values())]
        ready = set(select.select(waiting, [], [])[0])
        programs.look(ready)
        if control.fileno() not in ready:
            continue
        message, passed, _, _ = socket.recv_fds(control, 2**20, 4)
        if not message:
            sys.exit()
        request, (*streams, number) = Request(**json.loads(message)), passed
        stub = socket.socket(fileno=number)
        pid = os.fork()
        if pid == 0:
            control.close()
            stub.close()
            programs.close()
            _inherit(request, streams)
            return request
        _close(streams)
        _answer(stub, FORKED)
        programs.add(pid, stub)


def run(request: Request) -> None:
    """What `python -m PROGRAM …` or `python -c CODE …` does."""
    (kind, program), arguments = request.head, request.arguments[2:]
    sys.path.insert(0, request.folder if kind == "-m" else "")
    sys.argv = [program if kind == "-m" else "-c", *arguments]
    if kind == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})


def _inherit(request: Request, streams: list[int]) -> None:
    """Become what the stub would have become."""
    _die_with_parent()
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    _close(streams)
    for limit, *values in request.limits:
        if resource.getrlimit(limit) != tuple(values):
            resource.setrlimit(limit, (values[0], values[1]))
    os.sched_setaffinity(0, request.cores)
    os.nice(max(0, request.nice - os.nice(0)))
    os.umask(request.umask)
    os.chdir(request.folder)
    _become(request.environment)
    # An interpreter that ends collects everything; some libraries complain in the log about what is left.
    atexit.register(gc.unfreeze)
    raw = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = sys.__stdin__ = _stream(0, raw=False)
    sys.stdout = sys.__stdout__ = _stream(1, raw=raw)
    sys.stderr = sys.__stderr__ = _stream(2, raw=raw)


def _stream(number: int, *, raw: bool) -> Any:
    buffer: Any = os.fdopen(number, "rb" if number == 0 else "wb", buffering=0 if raw else -1, closefd=False)
    errors = "backslashreplace" if number == 2 else "strict"
    return io.TextIOWrapper(buffer, "utf-8", errors, line_buffering=number == 2 or buffer.isatty(), write_through=raw)


def _become(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    # It was found by other variables.
    tempfile.tempdir = None
    if "numpy" in sys.modules:
        # A fresh interpreter draws it anew.
        sys.modules["numpy"].random.seed()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _signal(pid: int, number: int, *, group: bool) -> None:
    try:
        (os.killpg if group else os.kill)(pid, number)
    except ProcessLookupError:
        # It has ended, or it was killed before it had a group of its own.
        if group:
            os.kill(pid, number)


def _received(stub: socket.socket) -> bytes:
    try:
        return stub.recv(64)
    except OSError:
        return b""


def _answer(stub: socket.socket, word: bytes) -> None:
    try:
        stub.send(word)
    except OSError:
        return  # the stub was killed meanwhile, which is seen at its next turn


def _close(numbers: list[int]) -> None:
    for number in numbers:
        os.close(number)


def main() -> None:
    """Serve; in a forked program: run it, and end as it ends."""
    _die_with_parent()
    path, parent = sys.argv[1], int(sys.argv[2])
    if os.getppid() != parent:
        sys.exit("the tests have ended")
    sys.executable = str(Path(path).parent / "bin" / "python")
    run(serve(path))


if __name__ == "__main__":
    main()
