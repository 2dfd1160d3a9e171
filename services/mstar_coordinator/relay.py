"""Passes requests on to the PRM, spread over its replicas, for people and for batches alike.

What this leaves out: who may ask, and reading the bodies, which the PRM does by its rules.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence

import httpx2
from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from mstar.errors import Unavailable
from mstar_coordinator.addresses import addresses

RETRY_AFTER_SECONDS = 60.0
"""A turn on the GPUs lasts for minutes, and nobody knows for how many."""
AWAY = "the PRM does not answer: it is being started, or sampling or training has its GPU; send this again later"
SILENT = "the PRM took the request and gave no answer in time: send fewer responses in one request, or this again later"
BROKEN = "the PRM went away in the middle of the request, perhaps since its turn was over: send this again later"


class Relay:
    """Passes a request on to one of the replicas behind a URL."""

    def __init__(
        self, prm: httpx2.AsyncClient, key: str | None, find: Callable[[str], Sequence[str]] = addresses
    ) -> None:
        """`key` opens the PRM; callers have shown the same one here.

        `find`: the URL of each replica there is now, from the client's own URL.
        """
        self._http = prm
        self._headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self._find = find
        self._busy: Counter[str] = Counter()
        self._asked = itertools.count()

    async def send(self, request: Request, body: bytes) -> httpx2.Response:
        """What the PRM answers. Raises Unavailable when none is there, or none answers."""
        kind = request.headers.get("content-type", "application/json")
        return await self.forward(request.method, request.url.path, body, kind)

    @property
    def in_hand(self) -> int:
        """Requests that wait for their answer."""
        return self._busy.total()

    async def forward(self, method: str, path: str, body: bytes, kind: str = "application/json") -> httpx2.Response:
        """As `send`, without a request of ours. Raises Unavailable when no replica is there, or none answers."""
        urls = await run_in_threadpool(self._find, str(self._http.base_url).rstrip("/"))
        for url in self._in_order(urls):
            self._busy[url] += 1
            try:
                return await self._http.request(
                    method,
                    url + path,
                    content=body,
                    headers=self._headers | {"content-type": kind},
                )
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue  # nothing was sent, so that another may be asked
            except httpx2.TransportError as error:
                detail = SILENT if isinstance(error, httpx2.TimeoutException) else BROKEN
                raise Unavailable(detail, retry_after=RETRY_AFTER_SECONDS) from None
            finally:
                self._busy[url] -= 1
        raise Unavailable(AWAY, retry_after=RETRY_AFTER_SECONDS)

    def _in_order(self, urls: Sequence[str]) -> list[str]:
        """Those with the fewest requests of ours first, and among equals each first in turn."""
        first = next(self._asked) % len(urls)
        return sorted((*urls[first:], *urls[:first]), key=lambda url: self._busy[url])
