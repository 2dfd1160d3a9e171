"""HTTP/1.1 as uvicorn speaks it, with time limits and with its own errors as problem+json.

uvicorn limits how long a connection may idle between two requests, and nothing else: a client that sends one byte now
and then keeps its connection for ever. Here each phase has a limit: the head of a request, its body, and the time for
which the other end may leave an answer unread. Work between body and answer has none; services limit that themselves.
What arrives at once is read in parts, between which other connections get their turn.
"""

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from mstar.errors import MstarError, RequestTimeout
from mstar_web.connection import StrictConnection

HEAD_SECONDS = 10.0
"""From the start of a connection, or the end of the last answer, to the end of a request's head."""
BODY_SECONDS = 60.0
"""From the end of the head to the end of the body."""
UNREAD_SECONDS = 60.0
"""For which an answer may stay in the buffer without anything being taken from it."""
LINGER_SECONDS = 2.0
"""For which what still arrives after a refusal is read and dropped: to close before would lose the answer."""
PART_BYTES = 4096
"""Of heads and chunks that is read before others get their turn: each chunk of one byte takes 12 microseconds."""
ASKED = frozenset({h11.DONE, h11.MUST_CLOSE, h11.CLOSED})
"""States of the other end once its request is whole; after `Connection: close`, or with HTTP/1.0, it must close."""


class LimitedProtocol(H11Protocol):
    """One connection. Class attributes are its limits in seconds."""

    head_seconds = HEAD_SECONDS
    body_seconds = BODY_SECONDS
    unread_seconds = UNREAD_SECONDS

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.conn: StrictConnection = StrictConnection()
        self._backlog = bytearray()
        self._reading = False
        """Whether the rest of the backlog has its turn already."""
        self._refused = False
        self._phase: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._enter("head", self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._enter(None, 0)
        self._stop_unread()
        self._backlog.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._backlog += data
        if not self._reading:
            self._read_on()

    def _read_on(self) -> None:
        """Read of what has arrived as much as is one turn's."""
        self._reading = False
        # A body with a length is one piece, however long it is.
        whole = self.conn.their_state is h11.SEND_BODY and not self.conn.chunked
        part = bytes(self._backlog if whole else self._backlog[:PART_BYTES])
        del self._backlog[: len(part)]
        super().data_received(part)
        self._follow()
        if self._backlog:
            self._reading = True
            self.loop.call_soon(self._read_on)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # What follows is a new request, or the rest of a body that nobody wants.
        self._enter(None, 0)
        self._follow()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_timer = self.loop.call_later(self.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_unread()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        # A head that has begun to arrive when the connection's idle time ends has its own limit.
        if not self.conn.trailing_data[0]:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self.conn.refusal)

    def _follow(self) -> None:
        """Start the limit of the phase that the other end is in now."""
        if self._refused or self.transport.is_closing() or self.conn.their_state in ASKED:
            self._enter(None, 0)
        elif self.conn.their_state is h11.SEND_BODY:
            self._enter("body", self.body_seconds)
        else:
            self._enter("head", self.head_seconds)

    def _enter(self, phase: str | None, seconds: float) -> None:
        # A limit is for the whole of a phase: bytes that trickle in must not renew it.
        if phase == self._phase:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._phase = phase
        self._timer = None if phase is None else self.loop.call_later(seconds, self._too_slow, phase, seconds)

    def _too_slow(self, phase: str, seconds: float) -> None:
        if self.transport.is_closing():
            return
        begun = self.cycle is not None and not self.cycle.response_complete
        # An answer is under way, and nothing else can follow on this connection.
        if begun and self.cycle.response_started:
            self.transport.abort()
        # Nothing was asked, so nobody waits for an answer.
        elif phase == "head" and not self.conn.trailing_data[0]:
            self.transport.close()
        else:
            self._refuse(RequestTimeout(f"the {phase} of the request did not arrive within {seconds:g} s"))

    def _refuse(self, error: MstarError) -> None:
        """Answer in place of the app, and close."""
        self._refused = True
        self._enter(None, 0)
        self._backlog.clear()
        if self.cycle is not None and not self.cycle.response_complete:
            # The app waits for a body that won't come.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = json.dumps(error.problem()).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        parts = (h11.Response(status_code=error.status, headers=headers), h11.Data(data=body), h11.EndOfMessage())
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            for part in parts:
                self.transport.write(self.conn.send(part) or b"")
        # The system answers what arrives at a closed connection with a reset, and the other end then drops what it has
        # not read yet.
        self.transport.write_eof()
        self.transport.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _stop_unread(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
