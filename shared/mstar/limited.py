"""Limits of a child process that opens files from outside: memory, processor time, and no network.

A child sets them for itself before it imports anything heavy, so that a crafted file can at worst end the child.
"""

import os
import resource
import sys
from typing import Any

NETWORK = frozenset(
    f"socket.{call}"
    for call in ("connect", "bind", "sendto", "sendmsg", "getaddrinfo", "gethostbyname", "gethostbyaddr", "getnameinfo")
)
"""What Python announces before it reaches out; code of model folders that the operator allows is Python as well."""


def limit(memory_bytes: int, cpu_seconds: int) -> None:
    """Bound this process for good.

    `memory_bytes`: of its own data. Files that are mapped and only read do not count, and a CUDA build of torch maps
    tens of gigabytes.
    """
    # Hard limits as well as soft ones: code that runs in here cannot raise them again.
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    # A crash would write a model of gigabytes to the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ |= {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    # An audit hook cannot be removed. Native code that opens sockets by itself does not pass through it.
    sys.addaudithook(_refuse_network)


def child_environment() -> dict[str, str]:
    """This process's environment without the settings of services, which hold keys and passwords.

    What takes over a child that opens files from outside must find nothing there.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("MSTAR_")}


def _refuse_network(event: str, about: tuple[Any, ...]) -> None:
    # Without an address sendmsg writes to a pair of sockets, as multiprocessing does to hand over a file.
    if event in NETWORK and not (event == "socket.sendmsg" and about[1] is None):
        raise PermissionError("this process has no network")
