"""Scoring for people while the PRM takes turns on the GPUs: passed on when it is there, else refused with a time.

Only mounted where the settings name a PRM. Requests are spread over its replicas. What this leaves out: scoring itself,
and its limits (`mstar_prm`).
"""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import httpx2
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from mstar.api.ranking import AnyRerank, AnyScore, PairsRequest
from mstar.errors import Unavailable
from mstar_coordinator.addresses import addresses
from mstar_web.limits import until_gone

RETRY_AFTER_SECONDS = 60.0
"""A turn lasts for minutes, and nobody knows for how many."""
RELAYED: tuple[tuple[str, type[BaseModel] | None], ...] = (
    ("/v1/score", AnyScore),
    ("/score", AnyScore),
    *((path, AnyRerank) for path in ("/v1/rerank", "/v2/rerank", "/rerank")),
    ("/pooling", PairsRequest),
    ("/v1/models", None),
)
"""Paths of the PRM, with the body of those that are posted."""
PASSED_ON = ("content-type", "retry-after")
AWAY = "the PRM does not answer: it is being started, or sampling or training has its GPU; send this again later"
SILENT = "the PRM took the request and gave no answer in time: send fewer responses in one request, or this again later"
BROKEN = "the PRM went away in the middle of the request, perhaps since its turn was over: send this again later"


class Relay:
    """Passes a request on to one of the replicas behind a URL."""

    def __init__(
        self, prm: httpx2.AsyncClient, key: str | None, find: Callable[[str], Sequence[str]] = addresses
    ) -> None:
        """`find`: the URL of each replica there is now, from the client's own URL."""
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
        """As `send`, without a request of ours."""
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


def scoring_router(
    prm: httpx2.AsyncClient,
    key: str | None,
    find: Callable[[str], Sequence[str]] = addresses,
    relay: Relay | None = None,
) -> APIRouter:
    """Routes of the PRM under the coordinator's address. `key` opens the PRM; callers have shown the same one here.

    `relay`: what passes requests on, where others want to see how many it has in hand.
    """
    router = APIRouter(tags=["scoring"])  # the PRM reads the bodies, by its rules
    relay = relay or Relay(prm, key, find)

    async def asked(request: Request) -> Response:
        # Read before the connection is watched: what watches it would swallow the body.
        body = await request.body()
        answer = await until_gone(request, relay.send(request, body))
        # The others speak of the connection to the PRM, not of this one.
        kept = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
        return Response(answer.content, answer.status_code, kept)

    said = "The PRM is not there now, or gave no answer; see Retry-After."
    described: dict[str, Any] = {"responses": {503: {"description": said}}}
    for path, body in RELAYED:
        method = "GET" if body is None else "POST"
        router.add_api_route(
            path,
            asked,
            methods=[method],
            name=f"relay{path.replace('/', '_')}",
            openapi_extra=_described(body),
            **described,
        )
    return router


def _described(body: type[BaseModel] | None) -> dict[str, Any] | None:
    """What the OpenAPI document says of a body that is passed on unread."""
    if body is None:
        return None
    schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
