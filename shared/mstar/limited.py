"""Limits of a child process that opens files from outside: memory, processor time, and no network.

A child sets them for itself before it imports anything heavy, so that a crafted file can at worst end the child.
"""

import os
import resource
import sys
from typing import Any

NETWORK = frozenset({"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"})
"""What Python announces before it reaches out; code of model folders that the operator allows is Python as well."""


def limit(memory_bytes: int, cpu_seconds: int) -> None:
    """Bound this process for good.

    `memory_bytes`: of its own data. Files that are mapped and only read do not count, and a CUDA build of torch maps
    tens of gigabytes.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ |= {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    sys.addaudithook(_refuse_network)


def _refuse_network(event: str, _: tuple[Any, ...]) -> None:
    if event in NETWORK:
        raise PermissionError("this process has no network")
