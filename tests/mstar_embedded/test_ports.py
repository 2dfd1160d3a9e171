"""Ports: free ones differ, and a taken one is named."""

import re
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from mstar.errors import Conflict
from mstar_embedded.ports import HOST, fixed_ports, free_ports


def test_free_ports_differ_and_can_be_listened_on() -> None:
    ports = free_ports()
    assert len({ports.coordinator, ports.policy, ports.prm}) == 3
    with socket.socket() as probe:
        probe.bind((HOST, ports.policy))


def test_stacks_that_start_at_once_get_ports_of_their_own() -> None:
    ask = "from mstar_embedded.ports import free_ports; print(free_ports(), flush=True); input()"
    command = [sys.executable, "-c", f"import mstar_embedded.ports as p; p.FREE = range(20_000, 20_012); {ask}"]
    stacks = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(3)
    ]
    chosen = [stack.stdout.readline() for stack in stacks if stack.stdout is not None]
    for stack in stacks:
        stack.communicate("\n", timeout=30)
    numbers = re.findall(r"=(\d+)", "".join(chosen))
    assert len(numbers) == len(set(numbers)) == 9


def test_a_taken_port_is_named_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        ports = replace(free_ports(), policy=taken.getsockname()[1])
        with pytest.raises(Conflict, match=r"port \d+ for the policy is in use.*--ports auto"):
            fixed_ports(ports)
    assert fixed_ports(ports) == ports
