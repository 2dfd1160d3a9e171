"""Events, data sets and files as they are read piece by piece, by both clients."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from mstar.api.downloads import Part
from mstar.client import AsyncClient, Client, Endpoint
from mstar.client.streams import EventReader, LineReader
from mstar.errors import Internal, NotFound
from mstar.recipes import parse_recipe

EVENTS = [{"id": number, "run_id": "r-1", "at": 1.0, "type": "step.committed"} for number in range(1, 5)]
RUN = {
    "id": "r-1",
    "name": "n",
    "created_at": 1.0,
    "updated_at": 1.0,
    "iterations": 1,
    "recipe": parse_recipe({"name": "n"}).model_dump(mode="json"),
    "progress": {"steps_done": 1, "steps_total": 1, "stage": ""},
}


class Breaking(httpx2.AsyncByteStream, httpx2.SyncByteStream):
    """Two events, and then the connection ends as it should not."""

    def __init__(self, text: str, *, breaks: bool) -> None:
        self._text, self._breaks = text.encode(), breaks

    def __iter__(self) -> Any:
        yield self._text
        if self._breaks:
            raise httpx2.ReadError("gone")

    async def __aiter__(self) -> Any:
        for piece in self:
            yield piece


class Coordinator(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A run of four events whose stream breaks off after two; it has ended when the last is read."""

    def __init__(self) -> None:
        self.resumed: list[str] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path == "/v1/runs/r-1":
            return httpx2.Response(200, json=RUN | {"state": "succeeded"})
        if path != "/v1/runs/r-1/events":
            return httpx2.Response(404, json={"code": "not-found", "detail": "no such run"})
        if request.headers["accept"] != "text/event-stream":
            return httpx2.Response(200, json={"data": EVENTS[int(request.url.params["after"]) :][:1]})
        after = int(request.headers["last-event-id"])
        self.resumed.append(request.headers["last-event-id"])
        sent = EVENTS[after : after + 2]
        text = "".join(f"id: {one['id']}\nevent: {one['type']}\ndata: {json.dumps(one)}\n\n: alive\n\n" for one in sent)
        return httpx2.Response(200, stream=Breaking(text, breaks=after == 0))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return self.handle_request(request)


def test_following_a_run_misses_nothing_and_repeats_nothing() -> None:
    transport = Coordinator()
    with Client(Endpoint(), transport, sleep=lambda _: None) as client:
        assert [event.id for event in client.follow("r-1")] == [1, 2, 3, 4]
    assert transport.resumed == ["0", "2"]


def test_following_is_the_same_awaited() -> None:
    async def rest(_: float) -> None:
        return None

    async def ids() -> list[int]:
        async with AsyncClient(Endpoint(), Coordinator(), sleep=rest) as client:
            return [event.id async for event in client.follow("r-1", after=1)]

    assert asyncio.run(ids()) == [2, 3, 4]


class Impatient(Coordinator):
    """Ends the stream at once, three times, before it sends the run's events."""

    empty = 3

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.empty and request.headers["accept"] == "text/event-stream":
            self.empty -= 1
            return httpx2.Response(200, text="")
        if self.empty and request.url.path == "/v1/runs/r-1":
            return httpx2.Response(200, json=RUN | {"state": "running"})
        return super().handle_request(request)


def test_a_stream_that_ends_at_once_is_asked_for_after_a_pause() -> None:
    slept: list[float] = []
    with Client(Endpoint(), Impatient(), sleep=slept.append) as client:
        assert [event.id for event in client.follow("r-1")] == [1, 2, 3, 4]
    assert len(slept) >= 3


def test_an_unknown_run_is_no_empty_stream() -> None:
    with Client(Endpoint(), Coordinator()) as client, pytest.raises(NotFound):
        list(client.follow("r-2"))


def test_what_is_no_event_is_told() -> None:
    reader = EventReader(0)
    assert list(reader.feed("data: {")) == []
    with pytest.raises(Internal, match="another version"):
        list(reader.feed(""))


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_rows_are_read_whatever_the_pieces(size: int) -> None:
    text = '{"text": "a\\u2028b"}\n\n{"text": "é"}\n{"last": 1}'.encode()
    reader = LineReader()
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    rows = [row for piece in pieces for row in reader.feed(piece)] + list(reader.rest())
    assert rows == [{"text": "a\u2028b"}, {"text": "é"}, {"last": 1}]


@pytest.mark.parametrize("line", [b"{\n", b"[1]\n", b"\xff\n"])
def test_a_damaged_line_of_a_file_is_told(line: bytes) -> None:
    with pytest.raises(Internal, match="is the file damaged"):
        list(LineReader().feed(line))


class Rows(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers every request with two rows, and remembers the paths."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.paths.append(request.url.path)
        return httpx2.Response(200, content=b'{"id": 1}\n{"id": 2}\n')

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return self.handle_request(request)


def test_data_sets_and_batch_files_come_row_by_row() -> None:
    rows = Rows()
    with Client(Endpoint(), rows) as client:
        assert list(client.dataset("r-1", Part.PRM_DATASET)) == [{"id": 1}, {"id": 2}]
        assert list(client.file_rows("file-1")) == [{"id": 1}, {"id": 2}]

    async def read() -> list[dict[str, Any]]:
        async with AsyncClient(Endpoint(), rows) as client:
            return [row async for row in client.dataset("r-1")]

    assert asyncio.run(read()) == [{"id": 1}, {"id": 2}]
    assert rows.paths == [
        "/v1/runs/r-1/downloads/prm_dataset/files/prm_dataset/metadata.jsonl",
        "/v1/files/file-1/content",
        "/v1/runs/r-1/downloads/cot_dataset/files/cot_dataset/metadata.jsonl",
    ]
