"""HTTP/1.1 as h11 reads it, and stricter where two readers of one request could see two (RFC 9112, section 11).

A request with two lengths, with a chunk that nobody could store, or of another major version is refused. A target in
absolute form names the host in place of `Host`, as section 3.2.2 asks.
"""

from typing import Any

import h11

from mstar.errors import BadRequest, HeadTooLarge, MstarError, TooLarge

HEAD_BYTES = 65_536
"""What the head of a request may have when it arrives in parts."""
CHUNK_BYTES = 2**40
INVALID = "the request is not valid HTTP/1.1: check its first line, headers and length"
_REFUSED = 431
"""How h11 marks a head that is too long."""


class StrictConnection(h11.Connection):
    """The service's end of one connection."""

    def __init__(self) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self.refusal: MstarError = BadRequest(INVALID)
        """What to answer once `next_event` has raised."""

    def next_event(self) -> Any:
        """The next event. Raises RemoteProtocolError for what is not HTTP or is refused here."""
        in_head = self.their_state is h11.IDLE
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == _REFUSED and in_head:
                self.refusal = HeadTooLarge(f"the head of the request is larger than {HEAD_BYTES} bytes: shorten it")
            raise
        if isinstance(event, h11.Request):
            self._check(event)
            return _in_origin_form(event)
        if isinstance(event, h11.Data) and self._chunk_left() > CHUNK_BYTES:
            self._refuse(TooLarge(f"a chunk of the body is larger than {CHUNK_BYTES} bytes: send smaller ones"))
        return event

    @property
    def chunked(self) -> bool:
        """Whether a body of chunks is on its way."""
        return hasattr(self._reader, "_bytes_in_chunk")

    def _chunk_left(self) -> int:
        # h11 tells nobody how long a chunk will be, and would wait for 2^80 bytes.
        return int(getattr(self._reader, "_bytes_in_chunk", 0))

    def _check(self, request: h11.Request) -> None:
        names = {name for name, _ in request.headers}
        major = request.http_version.partition(b".")[0]
        packed = b"transfer-encoding" in names
        # Whoever stands in front may have gone by the length, and take the rest of the body for the next request.
        if major != b"1" or (packed and (b"content-length" in names or request.http_version == b"1.0")):
            self._refuse(BadRequest(INVALID))

    def _refuse(self, error: MstarError) -> None:
        self.refusal = error
        raise h11.RemoteProtocolError(error.detail, error.status)


def _in_origin_form(request: h11.Request) -> h11.Request:
    """The request with its path as the target, and the host that the target names as its only one."""
    scheme, found, rest = request.target.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https"):
        return request
    authority, slash, path = rest.partition(b"/")
    authority, mark, query = authority.partition(b"?")
    target = b"/" + path if slash and not mark else b"/" + mark + query + slash + path
    headers = [(name, value) for name, value in request.headers if name != b"host"]
    return h11.Request(
        method=request.method,
        target=target,
        headers=[(b"host", authority), *headers],
        http_version=request.http_version,
    )
