"""moto's server, one request at a time: it looks for a key and writes it in two steps, a real store in one."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto import server

_LOCK = threading.Lock()


class OneAtATime(server.DomainDispatcherApplication):
    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with _LOCK:
            return super().__call__(environ, start_response)


if __name__ == "__main__":
    server.DomainDispatcherApplication = OneAtATime
    server.main()
