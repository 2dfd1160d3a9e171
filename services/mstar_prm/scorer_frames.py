"""What the service and its scorer process tell each other, as frames of a length and a pickled message.

Both ends are one installation and neither reads anything else here, so pickles carry images and errors as they are.
"""

import asyncio
import os
import pickle
import struct
from dataclasses import dataclass
from typing import IO, Any

from mstar.api.policy import WeightsState
from mstar_prm.scorer import WorkCounts

_HEAD = struct.Struct(">Q")
_BUFFER_BYTES = 1 << 24


@dataclass(frozen=True)
class MethodCall:
    """Asks for a method of the scorer."""

    number: int
    method: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class GiveUp:
    """Nobody waits for the answer of this call any more."""

    number: int


@dataclass(frozen=True)
class MethodReply:
    """Of one call, with what the scorer is at this moment."""

    number: int
    result: Any
    error: Exception | None
    state: WeightsState
    work: WorkCounts


class Frames:
    """Messages over two ends of pipes, used in one event loop."""

    def __init__(
        self, reader: asyncio.StreamReader, source: asyncio.ReadTransport, writer: asyncio.StreamWriter
    ) -> None:
        self._reader, self._source, self._writer = reader, source, writer

    async def send(self, message: object) -> None:
        """Raises ConnectionError when the other process is gone."""
        self.post(message)
        await self._writer.drain()

    def post(self, message: object) -> None:
        """Send without waiting for room in the pipe; nothing happens when the other process is gone."""
        # In one write, since several tasks send.
        self._writer.write(packed(message))

    async def receive(self) -> Any:
        """The next message. Raises EOFError when the other process has ended or closed its side."""
        try:
            (length,) = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
            return _message(await self._reader.readexactly(length))
        except asyncio.IncompleteReadError as error:
            raise EOFError("the other process has closed the pipe") from error

    def end(self) -> None:
        """Close the sending side, which the other process sees as the end."""
        self._writer.close()

    def close(self) -> None:
        """Close both sides."""
        self._writer.close()
        # Some event loops leave it open when the other process has closed its end.
        self._source.close()


async def frames(source: int | IO[bytes], sink: int | IO[bytes]) -> Frames:
    """Over two ends of pipes, which are the frames' own from here on."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_BUFFER_BYTES)
    read, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), _opened(source, "rb"))
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, _opened(sink, "wb"))
    return Frames(reader, read, asyncio.StreamWriter(transport, protocol, None, loop))


def packed(message: object) -> bytes:
    """One frame."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _HEAD.pack(len(body)) + body


def first_message(source: int) -> Any:
    """The first message of a pipe, and no byte beyond it. Raises EOFError where there is none."""
    (length,) = _HEAD.unpack(_exactly(source, _HEAD.size))
    return _message(_exactly(source, length))


def _exactly(source: int, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = os.read(source, size - len(found))
        if not piece:
            raise EOFError("the other process has closed the pipe")
        found += piece
    return found


def _message(body: bytes) -> Any:
    return pickle.loads(body)  # noqa: S301 - from the other process of this service


def _opened(pipe: int | IO[bytes], mode: str) -> Any:
    return os.fdopen(pipe, mode, buffering=0) if isinstance(pipe, int) else pipe
