"""The client whose calls are awaited. Operations are the same declarations as the synchronous one's."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import httpx2

from mstar.api.downloads import Part
from mstar.api.runs import Event
from mstar.client.admin_operations import AdminOperations
from mstar.client.endpoint import Endpoint
from mstar.client.evaluation_operations import EvaluationOperations
from mstar.client.model_operations import ModelOperations
from mstar.client.operations import Call, Reply
from mstar.client.retries import Retries
from mstar.client.run_operations import RunOperations
from mstar.client.streams import ENDED, EventReader, LineReader, archive_path, file_headers, file_path, rows_file
from mstar.client.synchronous import TIMEOUT
from mstar.errors import Internal, MstarError
from mstar.http_json import (
    TRANSPORT_ERRORS,
    Target,
    answered_error,
    broken_stream,
    parsed,
    request_arguments,
    transport_error,
)


class AsyncClient(RunOperations, EvaluationOperations, AdminOperations, ModelOperations):
    """Asynchronous client of one event loop; close it, or use it as an async context manager."""

    def __init__(
        self,
        endpoint: Endpoint,
        transport: httpx2.AsyncBaseTransport | None = None,
        retries: Retries | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`transport`: a test's, instead of the network."""
        self.endpoint = endpoint
        self._retries = retries or Retries()
        self._sleep = sleep
        self._http = httpx2.AsyncClient(timeout=TIMEOUT, transport=transport)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def perform_async(self, call: Call[Reply]) -> Reply:
        """The answer to a call, which may be sent several times. Raises what the service answers with."""
        tried = 0
        while True:
            try:
                return await self._send(call)
            except MstarError as error:
                tried += 1
                await self._rest(tried, error, repeatable=call.repeatable)

    async def follow(self, run_id: str, after: int = 0) -> AsyncIterator[Event]:
        """Events of a run as they happen, until it has ended; a connection that breaks off is made again."""
        reader, failed, path = EventReader(after), 0, f"/v1/runs/{run_id}/events"
        while True:
            before = reader.last
            try:
                async with self._stream(self.endpoint.runs, path, reader.headers()) as answer:
                    async for line in answer.aiter_lines():
                        for event in reader.feed(line):
                            yield event
                # A stream may end before the run's last events were sent, so the end of the run alone is not enough.
                ended = (await self.run(run_id)).state in ENDED
                if ended and not (await self.events(run_id, str(reader.last), 1)).data:
                    return
                failed = 0
                if reader.last == before:
                    # A proxy that ends streams at once would otherwise be asked as fast as it answers.
                    await self._sleep(self._retries.first)
            except MstarError as error:
                # Tries are counted anew after progress: a run of days may lose its connection any number of times.
                failed = 1 if reader.last > before else failed + 1
                await self._rest(failed, error, repeatable=True)

    async def download_file(self, run_id: str, part: Part, name: str, begin: int, size: int) -> AsyncIterator[bytes]:
        """A file from a byte on, piece by piece; nothing where it ends there."""
        if begin < size:
            async for piece in self._pieces(self.endpoint.runs, file_path(run_id, part, name), begin):
                yield piece

    async def download_stretch(self, run_id: str, part: Part, begin: int, end: int) -> AsyncIterator[bytes]:
        """Bytes of the archive of a part, from `begin` up to the one before `end`, piece by piece."""
        if begin < end:
            async for piece in self._pieces(self.endpoint.runs, archive_path(run_id, part), begin, end):
                yield piece

    def dataset(self, run_id: str, part: Part = Part.COT_DATASET) -> AsyncIterator[dict[str, Any]]:
        """Rows of one of the two data sets that a run leaves."""
        return self._rows(self.endpoint.runs, file_path(run_id, part, rows_file(part)))

    def file_rows(self, file_id: str) -> AsyncIterator[dict[str, Any]]:
        """Rows of a file, such as the answers of a batch (`output_file_id`)."""
        return self._rows(self.endpoint.bulk, f"/v1/files/{file_id}/content")

    async def _rows(self, target: Target, path: str) -> AsyncIterator[dict[str, Any]]:
        reader = LineReader()
        async for piece in self._pieces(target, path, 0):
            for row in reader.feed(piece):
                yield row
        for row in reader.rest():
            yield row

    async def _pieces(self, target: Target, path: str, begin: int, end: int | None = None) -> AsyncIterator[bytes]:
        async with self._stream(target, path, file_headers(begin, end)) as answer:
            # A proxy may drop the Range header: a whole file would be appended to the part that is there.
            if begin and answer.status_code != 206:
                raise Internal(f"{target.shown} sends the whole file where a part was asked for")
            async for piece in answer.aiter_bytes():
                yield piece

    async def _send(self, call: Call[Reply]) -> Reply:
        arguments = request_arguments(call.target, call.method, call.path, **call.arguments())
        try:
            answer = await self._http.request(**arguments)
        except TRANSPORT_ERRORS as error:
            raise transport_error(call.target, error) from error
        return parsed(call.target, call.reply, answer)

    @asynccontextmanager
    async def _stream(self, target: Target, path: str, headers: Mapping[str, str]) -> AsyncIterator[httpx2.Response]:
        try:
            async with self._http.stream(**request_arguments(target, "GET", path, headers=headers)) as answer:
                if not answer.is_success:
                    # The error's text is in the body, which a stream leaves unread.
                    await answer.aread()
                    raise answered_error(target, answer)
                yield answer
        except TRANSPORT_ERRORS as error:
            raise broken_stream(target, error) from error

    async def _rest(self, tried: int, error: MstarError, *, repeatable: bool) -> None:
        """Wait before the next try. Raises the error where there is to be none."""
        pause = self._retries.pause(tried, error, repeatable=repeatable, draw=random.random())
        if pause is None:
            raise error
        await self._sleep(pause)
