"""An S3 server as a process of its own on a real socket, with buckets that tests make, look into and spoil."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import s3fs

ACCESS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "hunter2-hunter2", "AWS_DEFAULT_REGION": "us-east-1"}
"""Where AWS tools find credentials. The server takes any; without some, a client refuses to ask."""


class Bucket:
    """A bucket of its own, looked at by another client than the one that is tested."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.name = f"b-{uuid4().hex[:12]}"
        self.url = f"s3://{self.name}/below"
        self._files: Any = s3fs.S3FileSystem(
            key="tester", secret="hunter2-hunter2", endpoint_url=endpoint, skip_instance_cache=True
        )
        self._files.mkdir(self.name)

    def names(self) -> list[str]:
        """Keys of all objects, from the prefix on."""
        self._files.invalidate_cache()
        return sorted(key.removeprefix(f"{self.name}/below/") for key in self._files.find(self.name))

    def bytes_of(self, key: str) -> bytes:
        return bytes(self._files.cat_file(f"{self.name}/below/{key}"))

    def put(self, key: str, data: bytes) -> None:
        self._files.pipe_file(f"{self.name}/below/{key}", data)

    def remove(self, key: str) -> None:
        self._files.rm_file(f"{self.name}/below/{key}")


@contextmanager
def s3_server() -> Iterator[str]:
    """The server's URL; it ends with the block."""
    command = [sys.executable, str(Path(__file__).with_name("s3_program.py")), "-H", "127.0.0.1", "-p", "0"]
    env = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(command, env=env, stdout=log, stderr=log) as server:
        try:
            yield _url(server, log)
        finally:
            server.kill()


def _url(server: "subprocess.Popen[bytes]", log: IO[str]) -> str:
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        log.seek(0)
        found = re.search(r"Running on (http://\S+)", log.read())
        if found:
            return found[1]
        time.sleep(0.05)
    log.seek(0)
    raise AssertionError(log.read())
