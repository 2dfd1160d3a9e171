"""Stands for a forked program: `warm_stub.py SOCKET PYTHON ARGUMENTS…`.

It hands its streams, environment and folder to the server, passes signals on, and ends as the program ends. Where the
server can't fork what is asked for, it becomes the real interpreter with the same arguments.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import sys

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)
FRESH_INTERPRETER = ("LD_", "PYTHON")
"""Beginnings of variables that are read while an interpreter starts."""
FORKED = b"forked"
DIES_WITH_PARENT = "mstar_trainer.rank_main"
"""A program that asks the kernel for this. Its parent is the process that forked it, so the stub has to ask as well."""
PR_SET_PDEATHSIG = 1
LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
HARMLESS = {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONUNBUFFERED"}


def main() -> int:
    """The program's exit code."""
    path, python, *arguments = sys.argv[1:]
    if arguments[1] == DIES_WITH_PARENT:
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        if any(name.startswith(FRESH_INTERPRETER) and name not in HARMLESS for name in os.environ):
            raise OSError("such a variable is for an interpreter that starts")
        # Another user of this machine may not connect.
        server.connect(path)
        socket.send_fds(server, [json.dumps(_request(arguments)).encode()], [0, 1, 2])
        # A signal that comes earlier ends the stub, and with it the program.
        for number in PASSED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, _frame: _pass_on(server, number))
        forked = server.recv(1024) == FORKED
    except OSError:
        forked = False
    if not forked:
        server.close()
        os.execv(python, [python, *arguments])
    # Only the program may hold its end of a pipe, or nobody would see that it has ended.
    os.closerange(0, 3)
    answer = server.recv(1024)
    # Without an answer the server has died, and everything that it forked has died with it.
    return _end_like(int(answer) if answer else -signal.SIGKILL)


def _end_like(code: int) -> int:
    """The exit code; does not return where a signal ended the program."""
    if code >= 0:
        return code
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), -code)
    return 128 - code


def _request(arguments: list[str]) -> dict[str, object]:
    """Whatever a program inherits besides its streams."""
    umask = os.umask(0o077)
    os.umask(umask)
    return {
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "umask": umask,
        "nice": os.nice(0),
        "cores": sorted(os.sched_getaffinity(0)),
        "limits": [(number, *resource.getrlimit(number)) for number in LIMITS],
    }


def _pass_on(server: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):
        server.send(str(number).encode())


if __name__ == "__main__":
    code = main()
    # No clean-up: standard output is closed.
    os._exit(code)
