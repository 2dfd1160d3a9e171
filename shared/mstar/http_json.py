"""Send JSON to one of the project's services and get a validated body back, or an error of `mstar.errors`.

Every client of the project sends through this, so each handles a silent service, a proxy's error page and an answer of
the wrong shape alike. What this leaves out: retries, which differ from caller to caller.
"""

import contextlib
import re
import socket
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx2
from pydantic import BaseModel, Field, ValidationError

from mstar import tracing
from mstar.errors import (
    YEAR,
    Forbidden,
    Internal,
    InvalidInput,
    MstarError,
    TooManyRequests,
    Unanswered,
    Unauthenticated,
    Unavailable,
    Unreachable,
    from_problem,
)

Reply = TypeVar("Reply", bound=BaseModel)

GATEWAY_STATUSES = (502, 503, 504)
"""What a proxy answers while the service behind it is being replaced."""
CONNECTED = (
    "connection.connect_tcp.complete",
    "connection.connect_unix_socket.complete",
    "connection.start_tls.complete",
)
"""Events of the HTTP library that bring a new stream."""
SILENCE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 5, "TCP_USER_TIMEOUT": 40_000}
"""After 15 s without a byte the other system is asked each 5 s whether it is there, and has 40 s to answer anything."""
RETRY_SECONDS = 1.0
"""Suggested pause before a silent service is asked again."""
_FOREIGN = re.compile(r"[^!-~]|[?#\\]|%2[ef]|/\.{0,2}(/|$)", re.IGNORECASE)
"""What makes a path lead elsewhere: a query, a fragment, an empty part, `.`, `..`, or what a proxy decodes to them."""
TRANSPORT_ERRORS = (httpx2.RequestError, httpx2.InvalidURL)
"""What the HTTP library raises where no answer can be read."""
NOT_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)
"""Those where no byte of the request has left."""


@dataclass(frozen=True)
class Target:
    """A service to send to, and what its caller can set when it does not answer or refuses the key."""

    url: str
    """Base URL; paths are appended to it."""
    key: str | None = field(default=None, repr=False)
    """Bearer key; None sends none."""
    url_setting: str = "its URL"
    """Name of the variable that holds the URL."""
    key_setting: str = "its key"
    """Name of the variable that holds the key."""
    start: str = "start it"
    """How to start the service, as half a sentence."""

    @property
    def shown(self) -> str:
        """The URL for messages: without credentials, path kept."""
        try:
            parts = urlsplit(self.url)
        except ValueError:
            return self.url.rpartition("@")[2]
        # Messages end in logs and in other people's terminals, and a URL may hold a password before its `@`.
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")


class _Problem(BaseModel):
    """The members of an RFC 9457 body that rebuild an error. `code` is ours, so a body without it is not."""

    code: str
    title: str | None = None
    detail: str | None = None
    field: str | None = None
    retry_after: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class Sender:
    """One pool of connections. Thread-safe; close it."""

    def __init__(self, timeout: httpx2.Timeout, transport: httpx2.BaseTransport | None = None) -> None:
        """`timeout`: of every request that does not bring its own. `transport`: a test's, instead of the network."""
        self._http = httpx2.Client(timeout=timeout, transport=transport)
        # Weak, since the HTTP library closes and drops connections of its pool by itself.
        self._streams: weakref.WeakSet[Any] = weakref.WeakSet()
        """Open connections, each of which may have a request under way."""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def give_up(self) -> None:
        """End every request under way: each raises Unavailable at once, and the service sees its caller leave.

        May be called from any thread.
        """
        # A copy: other threads open connections meanwhile.
        for stream in list(self._streams):
            connected = stream.get_extra_info("socket")
            with contextlib.suppress(OSError):
                # Closing it would not wake a thread that reads. A TLS socket's own method would say goodbye first.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    def _note_stream(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by the HTTP library with each thing that it does (its `trace` extension)."""
        if event in CONNECTED:
            stream = info["return_value"]
            _notice_silence(stream.get_extra_info("socket"))
            self._streams.add(stream)

    def reaches(self, target: Target, path: str, seconds: float) -> bool:
        """Whether the service answers this path with 200 within this many seconds."""
        try:
            return self._http.get(_joined(target, path), timeout=seconds).status_code == 200
        except (httpx2.HTTPError, httpx2.InvalidURL):
            return False

    def send(
        self,
        target: Target,
        method: str,
        path: str,
        reply: type[Reply],
        *,
        body: BaseModel | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        files: Mapping[str, Any] | None = None,
    ) -> Reply:
        """The validated answer to one request, whose body is `body` as JSON or `files` as a form.

        Raises the service's own error where it sends one (RFC 9457), Unavailable when nothing or only a gateway
        answers, Unauthenticated and Forbidden with the variable to set, and Internal for an answer that is not this
        service's: not JSON, of another shape, or an error page.
        """
        with _client_span(target, method, path) as span:
            arguments = request_arguments(
                target, method, path, body=body, params=params, headers=headers, timeout=timeout, files=files
            )
            try:
                answer = self._http.request(**arguments, extensions={"trace": self._note_stream})
            except TRANSPORT_ERRORS as error:
                raise transport_error(target, error) from error
            span.note("http.response.status_code", answer.status_code)
            return parsed(target, reply, answer)

    @contextlib.contextmanager
    def stream(self, target: Target, path: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        """The answer to a GET, whose body is read piece by piece. Raises as `send`, also while it is read."""
        try:
            with self._http.stream(**request_arguments(target, "GET", path, headers=headers)) as answer:
                if not answer.is_success:
                    # The error's text is in the body, which a stream leaves unread.
                    answer.read()
                    raise answered_error(target, answer)
                yield answer
        except TRANSPORT_ERRORS as error:
            raise broken_stream(target, error) from error


def _notice_silence(connected: socket.socket) -> None:
    """Have the system end a connection whose other machine is gone without a word.

    An answer may take a quarter of an hour, and a request must not wait so long for a node that has lost its power.
    """
    if connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    # Not every system has every option, nor every kind of socket.
    with contextlib.suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in SILENCE.items():
            if (option := getattr(socket, name, None)) is not None:
                connected.setsockopt(socket.IPPROTO_TCP, option, value)


def request_arguments(
    target: Target,
    method: str,
    path: str,
    *,
    body: BaseModel | None = None,
    params: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    files: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What the HTTP library is called with, sync or async. `files`: parts of a form, sent instead of JSON.

    Raises Unauthenticated for a key that no HTTP header can carry.
    """
    content: dict[str, Any] = {"content": None if body is None else body.model_dump_json()}
    if files is not None:
        content = {"files": files}
    if timeout is not None:
        content["timeout"] = timeout
    sent = _headers(target, headers, form=files is not None)
    return {"method": method, "url": _joined(target, path), "params": params, "headers": sent, **content}


def parsed(target: Target, reply: type[Reply], answer: httpx2.Response) -> Reply:
    """The body of an answer that has been read, or the error that it is. Raises as `Sender.send`."""
    if not answer.is_success:
        raise answered_error(target, answer)
    try:
        return reply.model_validate_json(answer.content)
    except ValidationError as error:
        raise _malformed(target, f"what is not a {reply.__name__}") from error


def transport_error(target: Target, error: Exception) -> MstarError:
    """What it means to the caller that the HTTP library got no answer."""
    if isinstance(error, httpx2.DecodingError):
        return _malformed(target, "a body that cannot be decompressed")
    kind = Unreachable if isinstance(error, NOT_SENT) else Unanswered
    return kind(
        f"nothing answers at {target.shown}: {target.start}, or set {target.url_setting} ({type(error).__name__})",
        retry_after=RETRY_SECONDS,
    )


def broken_stream(target: Target, error: Exception) -> MstarError:
    """The same for an answer that is read piece by piece."""
    if isinstance(error, NOT_SENT):
        return transport_error(target, error)
    return Unanswered(
        f"{target.shown} broke off ({type(error).__name__}): try again, which continues where it stopped",
        retry_after=RETRY_SECONDS,
    )


def _joined(target: Target, path: str) -> str:
    # Ids that people type are parts of paths: `../keys` would lead to another route.
    if _FOREIGN.search(path):
        raise InvalidInput(f"{path[:200]!a} is not a path of a service: check the id in it")
    return target.url.rstrip("/") + path


def _headers(target: Target, more: Mapping[str, str] | None, *, form: bool = False) -> dict[str, str]:
    # The HTTP library names the type of a form itself, with its boundary. A service without keys wants a key beside one
    # all the same, which no page of another origin can send.
    headers = {"Authorization": "Bearer none"} if form else {"Content-Type": "application/json"}
    headers |= tracing.headers() | dict(more or {})
    if target.key is not None:
        # A line end in it would begin another header (request splitting).
        if not (target.key.isascii() and target.key.isprintable()):
            raise Unauthenticated(
                f"the key for {target.shown} has characters other than ASCII: set {target.key_setting}"
            )
        headers["Authorization"] = f"Bearer {target.key}"
    return headers


def _client_span(target: Target, method: str, path: str) -> AbstractContextManager[tracing.Span]:
    """A span around one request, inside a trace only: a command line begins none."""
    return tracing.inner(
        f"{method} {tracing.path_template(path)}",
        kind="client",
        values={"http.request.method": method, "server.address": target.shown.partition("://")[2].partition("/")[0]},
    )


def _malformed(target: Target, found: str) -> Internal:
    return Internal(f"{target.shown} answers {found}: is it another service, or another version?")


def answered_error(target: Target, answer: httpx2.Response) -> MstarError:
    """What an answer that is not a success means to the caller."""
    status = answer.status_code
    wait = retry_after(answer.headers.get("retry-after"), time.time())
    try:
        sent: MstarError | None = from_problem(_Problem.model_validate_json(answer.content).model_dump(), status)
    except ValidationError:
        sent = None
    # The service's own sentence does not know which variable its caller took the key from.
    if status == 401:
        return Unauthenticated(f"{target.shown} does not know your key: set {target.key_setting}")
    if sent is None and status == 403:
        return Forbidden(f"{target.shown} refuses your key: set {target.key_setting}")
    # Forbidden is also said of paths outside an allowed folder, where another key would not help.
    if isinstance(sent, Forbidden) and "key" in sent.detail:
        return Forbidden(
            f"{target.shown} refuses your key: {sent.detail}; set {target.key_setting} to one that may",
            field=sent.field,
        )
    if sent is not None:
        sent.retry_after = wait if sent.retry_after is None else sent.retry_after
        return sent
    if status in GATEWAY_STATUSES:
        detail = f"a gateway in front of {target.shown} answers {status}: the service may be restarting"
        # With 502 and 504 the gateway has lost a request that it had passed on, which may be carried out all the same.
        return (Unavailable if status == 503 else Unanswered)(detail, retry_after=wait)
    if status == 429:
        detail = f"a gateway in front of {target.shown} answers 429: ask again later"
        return TooManyRequests(detail, retry_after=RETRY_SECONDS if wait is None else wait)
    # By status alone a proxy's own 404 would pass for a run or a lease that does not exist.
    return _malformed(target, f"{status} without one of this project's errors")


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds of a Retry-After header: a number of them, or a date (RFC 9110, section 10.2.3). None for anything else.

    `now`: seconds since the epoch.
    """
    if value is None:
        return None
    # At most a year, so that no sum with a clock overflows and no pause lasts for ever.
    if value.strip().isdecimal():
        return min(float(value), YEAR)
    try:
        # A date without a zone is UTC, which is what HTTP has.
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, min(when.replace(tzinfo=when.tzinfo or UTC).timestamp() - now, YEAR))
