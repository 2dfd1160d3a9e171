"""A real server with one route that takes half a second; run by test_serve."""

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from mstar.environment import read_settings
from mstar_web.app import base_app
from mstar_web.serve import run
from web_bench import BenchSettings

settings = read_settings(BenchSettings)
app = base_app("bench", "1", settings, not_ready=lambda: None)


async def parts() -> AsyncIterator[bytes]:
    yield b"begun\n"
    await asyncio.sleep(0.5)
    yield b"done\n"


@app.get("/slow")
async def slow() -> StreamingResponse:
    return StreamingResponse(parts())


if __name__ == "__main__":
    run(app, settings)
