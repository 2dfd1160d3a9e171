"""Serve an app with uvicorn: bind first, say plainly when the port is taken, finish running requests on SIGTERM."""

import errno
import gc
import resource
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from mstar.early_stop import end_now
from mstar.environment import env_prefix
from mstar_web.config import ServiceSettings
from mstar_web.logs import configure_logs
from mstar_web.protocol import LimitedProtocol
from mstar_web.traces import export_traces

DRAIN_SECONDS = 20
FILES = 65_536
"""How many files a service may have open where the system lets it."""
SWITCH_SECONDS = 0.0005
"""After which a thread that computes lets another one run; Python's own 0.005 is what each answer would wait for."""


def run(app: FastAPI, settings: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT; running requests get 20 seconds to end.

    Raises SystemExit: 1 with one line when the port is taken, 3 when the app fails to start.
    """
    configure_logs(app.title)
    settle_interpreter()
    allow_files()
    export_traces(app.title.replace(" ", "-"))
    # Before uvicorn starts: a port that is taken is one clear line, and not a trace once the app has loaded.
    listener = _bind(settings)
    server = _Server(
        uvicorn.Config(
            app,
            http=LimitedProtocol,
            ws="none",
            # Nobody in front of a service is trusted to name the caller: X-Forwarded-For would give each request a
            # quota of its own.
            proxy_headers=False,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )
    with listener:
        server.run(sockets=[listener])
    # What stays frozen at the interpreter's end is reported as leaks by some libraries, in pages of the log.
    gc.unfreeze()
    if not server.started:
        raise SystemExit(3)


def settle_interpreter() -> None:
    """Set the interpreter to answer soon; called when all imports are done."""
    sys.setswitchinterval(SWITCH_SECONDS)
    # What the imports left stays for good. Each full collection would look through it again, and hold up every request
    # for half a second where torch is loaded.
    gc.freeze()


def allow_files() -> None:
    """Take as many open files as the system grants, since each connection is one.

    What a shell sets at first (1,024 as a rule) is for programs that cannot count higher. A thousand slow callers would
    keep everybody else out.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class _Server(uvicorn.Server):
    """Leaves at once while its app still loads, and then tells the app of the signal.

    Nobody waits for an answer while a model loads, which takes minutes. Later, responses without an end of their own
    (event streams) end on `app.state.stopping`, or the stop would wait for its time limit.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.started:
            end_now(sig, frame)
        if isinstance(self.config.app, FastAPI):
            self.config.app.state.stopping.set()
        super().handle_exit(sig, frame)


def _bind(settings: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # A service that is restarted must not wait for connections of the one before to time out.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise SystemExit(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}") from None
        variable = f"{env_prefix(type(settings))}PORT"
        raise SystemExit(f"port {settings.port} is in use: stop what listens there, or set {variable}") from None
    listener.setblocking(False)
    return listener
