"""What tests of HTTP services share: settings without an environment, and requests to an app without a socket."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import httpx2
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from mstar_web.config import ServiceSettings
from mstar_web.protocol import LimitedProtocol
from shared_routes import share_routes

Result = TypeVar("Result")


class BenchSettings(ServiceSettings):
    """Settings of a service that exists in tests only."""

    model_config = SettingsConfigDict(env_prefix="MSTAR_BENCH_")

    port: int = 8499


class HouseSettings(BenchSettings):
    """Settings of a service with a second role."""

    model_config = SettingsConfigDict(env_prefix="MSTAR_HOUSE_")

    score_key: SecretStr | None = None


def talk(app: FastAPI, conversation: Callable[[httpx2.AsyncClient], Awaitable[Result]], **client: Any) -> Result:
    """Run a conversation with the app over ASGI, inside its lifespan. Requests are declared as JSON."""
    share_routes(app)

    async def run() -> Result:
        transport = httpx2.ASGITransport(app=app)
        options = {"base_url": "http://localhost", "headers": {"content-type": "application/json"}, **client}
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=transport, **options) as session,
        ):
            return await conversation(session)

    return asyncio.run(run())


async def post_and_leave(app: FastAPI, path: str, body: bytes) -> None:
    """Send JSON to an app that runs, and be gone once it is read."""
    sent = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return sent.pop() if sent else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b""}
    await asyncio.wait_for(app(scope, receive, send), timeout=60)


def ask(app: FastAPI, method: str, path: str, **request: Any) -> httpx2.Response:
    """One request to the app."""

    async def once(client: httpx2.AsyncClient) -> httpx2.Response:
        return await client.request(method, path, **request)

    return talk(app, once)


@contextlib.contextmanager
def serving(app: FastAPI, http: type[LimitedProtocol] = LimitedProtocol) -> Iterator[str]:
    """The app on a free port while the block runs."""
    share_routes(app)
    server = uvicorn.Server(uvicorn.Config(app, http=http, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()
