"""Ports: free ones differ, and a taken one is named."""

import socket
from dataclasses import replace

import pytest

from mstar.errors import Conflict
from mstar_embedded.ports import HOST, fixed_ports, free_ports


def test_free_ports_differ_and_can_be_listened_on() -> None:
    ports = free_ports()
    assert len({ports.coordinator, ports.policy, ports.prm}) == 3
    with socket.socket() as probe:
        probe.bind((HOST, ports.policy))


def test_a_taken_port_is_named_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        ports = replace(free_ports(), policy=taken.getsockname()[1])
        with pytest.raises(Conflict, match=r"port \d+ for the policy is in use.*--ports auto"):
            fixed_ports(ports)
    assert fixed_ports(ports) == ports
