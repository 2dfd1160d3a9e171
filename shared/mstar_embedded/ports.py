"""Which TCP ports the three HTTP services get."""

import socket
from dataclasses import dataclass

from mstar.errors import Conflict

HOST = "127.0.0.1"


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
    """Three ports that nothing listens on now."""
    probes = [socket.socket() for _ in range(3)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return Ports(*(probe.getsockname()[1] for probe in probes))
    finally:
        for probe in probes:
            probe.close()
