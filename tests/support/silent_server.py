"""A server on a real socket that reads requests and never answers; it notes when callers leave."""

import socket
import threading
import time
from typing import Self


class SilentServer:
    """While entered, `url` takes requests; `asked` is set with the first one, `left` once every caller has gone."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked, self.left = threading.Event(), threading.Event()
        self.connections = 0
        self._open = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def wait_for(self, connections: int, seconds: float = 10.0) -> None:
        """Until this many callers have sent something."""
        deadline = time.monotonic() + seconds
        while self.connections < connections:
            assert time.monotonic() < deadline, self.connections
            time.sleep(0.01)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with self._lock:
            self._open += 1
        with connection:
            first = True
            while connection.recv(65_536):
                if first:
                    self.connections += 1
                    self.asked.set()
                first = False
        with self._lock:
            self._open -= 1
            if not self._open:
                self.left.set()
