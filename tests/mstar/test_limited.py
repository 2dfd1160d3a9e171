"""What a limited child may not do. In a process of its own, since the limits last as long as it does."""

import subprocess
import sys

import pytest

PROGRAM = """
import socket
from mstar.limited import limit
pair = socket.socketpair()
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
limit(10**10, 60)
pair[0].sendmsg([b"x"])
try:
    {call}
except PermissionError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "call",
    [
        "sender.sendmsg([b'x'], [], 0, ('127.0.0.1', 9))",
        "sender.sendto(b'x', ('127.0.0.1', 9))",
        "sender.connect(('127.0.0.1', 9))",
        "socket.gethostbyname('localhost')",
        "socket.getaddrinfo('localhost', 9)",
    ],
)
def test_no_call_reaches_the_network_and_pairs_of_sockets_work(call: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(call=call)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "this process has no network\n", done.stderr
