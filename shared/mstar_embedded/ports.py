"""Which TCP ports the three HTTP services get."""

import atexit
import random
import socket
import sys
from dataclasses import dataclass, fields

from mstar.errors import Conflict

HOST = "127.0.0.1"
FREE = range(20_000, 30_000)
"""Where free ports are looked for."""
_RESERVED: list[socket.socket] = []
"""Held open until this process ends."""


@dataclass(frozen=True)
class Ports:
    """Ports on loopback."""

    coordinator: int = 8400
    policy: int = 8401
    prm: int = 8402

    @property
    def coordinator_url(self) -> str:
        return f"http://{HOST}:{self.coordinator}"

    @property
    def policy_url(self) -> str:
        return f"http://{HOST}:{self.policy}"

    @property
    def prm_url(self) -> str:
        return f"http://{HOST}:{self.prm}"


def fixed_ports(ports: Ports = Ports()) -> Ports:
    """Known ports, the documented ones by default. Raises Conflict naming the first that is taken."""
    for name, port in vars(ports).items():
        with socket.socket() as probe:
            # Connections of a stack that has just ended keep the port for a minute (TIME_WAIT) without listening.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                raise Conflict(
                    f"port {port} for the {name} is in use: stop what listens there (another `mstar up`?) "
                    "or let `mstar up --ports auto` choose free ones",
                    field="port",
                ) from None
    return ports


def free_ports() -> Ports:
    """Three ports that nothing listens on, which this process has for itself until it ends. Raises Conflict.

    Several stacks may start at once on one machine, and a service binds its port seconds after it was chosen: so each
    port is reserved under its number, and all lie below the range from which the system takes ports for others.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(FREE, len(FREE)):
        if _reserve(port):
            found.append(port)
        if len(found) == len(fields(Ports)):
            return Ports(*found)
    raise Conflict(f"no three ports from {FREE[0]} to {FREE[-1]} are free on {HOST}: stop what listens there")


def _reserve(port: int) -> bool:
    """Whether nobody listens on a port and no other stack of this machine has chosen it."""
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    if sys.platform != "linux":
        return True
    # Linux frees a name in the abstract namespace when its process ends, however that happens; no file is left.
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0mstar-port-{port}")
    except OSError:
        name.close()
        return False
    _RESERVED.append(name)
    return True


@atexit.register
def _release() -> None:
    for name in _RESERVED:
        name.close()
