"""Send JSON to one of the project's services and get a validated body back, or an error of `mstar.errors`.

Every client of the project sends through this, so each handles a silent service, a proxy's error page and an answer of
the wrong shape alike. What this leaves out: retries, which differ from caller to caller.
"""

import contextlib
import socket
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx2
from pydantic import BaseModel, Field, ValidationError

from mstar.errors import (
    Forbidden,
    Internal,
    MstarError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
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
RETRY_SECONDS = 1.0
"""Suggested pause before a silent service is asked again."""


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
        self._streams: weakref.WeakSet[Any] = weakref.WeakSet()
        """Open connections, each of which may have a request under way."""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def give_up(self) -> None:
        """End every request under way: each raises Unavailable at once, and the service sees its caller leave.

        May be called from any thread.
        """
        for stream in list(self._streams):
            connected = stream.get_extra_info("socket")
            with contextlib.suppress(OSError):
                # Closing it would not wake a thread that reads. A TLS socket's own method would say goodbye first.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    def _note_stream(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by the HTTP library with each thing that it does (its `trace` extension)."""
        if event in CONNECTED:
            self._streams.add(info["return_value"])

    def reaches(self, target: Target, path: str, seconds: float) -> bool:
        """Whether the service answers this path with 200 within so many seconds."""
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
    ) -> Reply:
        """The validated answer to one request.

        Raises the service's own error where it sends one (RFC 9457), Unavailable when nothing or only a gateway
        answers, Unauthenticated and Forbidden with the variable to set, and Internal for an answer that is not this
        service's: not JSON, of another shape, or an error page.
        """
        options: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        try:
            answer = self._http.request(
                method,
                _joined(target, path),
                content=None if body is None else body.model_dump_json(),
                params=params,
                headers=_headers(target, headers),
                extensions={"trace": self._note_stream},
                **options,
            )
        except httpx2.DecodingError as error:
            raise _malformed(target, "a body that cannot be decompressed") from error
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise Unavailable(
                f"nothing answers at {target.shown}: {target.start}, or set {target.url_setting} "
                f"({type(error).__name__})",
                retry_after=RETRY_SECONDS,
            ) from error
        if not answer.is_success:
            raise _error(target, answer)
        try:
            return reply.model_validate_json(answer.content)
        except ValidationError as error:
            raise _malformed(target, f"what is not a {reply.__name__}") from error

    @contextlib.contextmanager
    def stream(self, target: Target, path: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        """The answer to a GET, whose body is read piece by piece. Raises as `send`, also while it is read."""
        try:
            with self._http.stream("GET", _joined(target, path), headers=_headers(target, headers)) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _error(target, answer)
                yield answer
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise Unavailable(
                f"{target.shown} broke off ({type(error).__name__}): do it again, which goes on where it stopped",
                retry_after=RETRY_SECONDS,
            ) from error


def _joined(target: Target, path: str) -> str:
    return target.url.rstrip("/") + path


def _headers(target: Target, more: Mapping[str, str] | None) -> dict[str, str]:
    """Raises Unauthenticated for a key that no HTTP header can carry."""
    headers = {"Content-Type": "application/json", **(more or {})}
    if target.key is not None:
        if not (target.key.isascii() and target.key.isprintable()):
            raise Unauthenticated(
                f"the key for {target.shown} has characters other than ASCII: set {target.key_setting}"
            )
        headers["Authorization"] = f"Bearer {target.key}"
    return headers


def _malformed(target: Target, found: str) -> Internal:
    return Internal(f"{target.shown} answers {found}: is it another service, or another version?")


def _error(target: Target, answer: httpx2.Response) -> MstarError:
    """What an answer that is no success means to the caller."""
    status = answer.status_code
    try:
        sent: MstarError | None = from_problem(_Problem.model_validate_json(answer.content).model_dump(), status)
    except ValidationError:
        sent = None
    if status == 401:
        return Unauthenticated(f"{target.shown} does not know your key: set {target.key_setting}")
    if sent is None and status == 403:
        return Forbidden(f"{target.shown} refuses your key: set {target.key_setting}")
    if isinstance(sent, Forbidden) and "key" in sent.detail:
        return Forbidden(
            f"{target.shown} refuses your key: {sent.detail}; set {target.key_setting} to one that may",
            field=sent.field,
        )
    if sent is not None:
        return sent
    if status in GATEWAY_STATUSES:
        return Unavailable(f"a gateway before {target.shown} answers {status}: the service may be restarting")
    if status == 429:
        return TooManyRequests(
            f"a gateway before {target.shown} answers 429: ask again later", retry_after=RETRY_SECONDS
        )
    # By status alone a proxy's own 404 would pass for a run or a lease that does not exist.
    return _malformed(target, f"{status} without one of this project's errors")
