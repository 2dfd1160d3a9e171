"""Answers a GET for a stream of known length: whole, a range, or nothing where the caller has it (RFC 9110, 13 and 14).

One range is served; who asks for several gets the whole, as the standard allows.
"""

import re
from collections.abc import Mapping

from starlette.responses import Response, StreamingResponse

from mstar_coordinator.api.archives import ArchiveStream

# Names of units know no case (14.1).
_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)", re.IGNORECASE)
MOST_DIGITS = 18
"""They fit 64 bits, and no file has a byte beyond."""


def ranged(stream: ArchiveStream, headers: Mapping[str, str], kind: str, filename: str) -> Response:
    """The answer to a request with these headers."""
    about = {
        "ETag": stream.tag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'attachment; filename="{_token(filename)}"',
    }
    # Strongly (RFC 9110, 13.1.1): who goes on with a download must not get the rest of another version.
    if (only := headers.get("if-match")) is not None and not {stream.tag, "*"} & set(_listed(only)):
        return Response(status_code=412, headers=about)
    # Compared weakly (13.1.2), so `W/` is dropped; `If-Range` below asks for a strong match (13.1.5).
    if {stream.tag, "*"} & {tag.removeprefix("W/") for tag in _listed(headers.get("if-none-match", ""))}:
        return Response(status_code=304, headers=about)
    wanted = _wanted(headers, stream)
    if wanted is None:
        return _sent(stream, 0, stream.size - 1, 200, about, kind)
    first, last = wanted
    if first >= stream.size or first > last:
        return Response(status_code=416, headers=about | {"Content-Range": f"bytes */{stream.size}"})
    shown = {"Content-Range": f"bytes {first}-{last}/{stream.size}"}
    return _sent(stream, first, last, 206, about | shown, kind)


def _sent(stream: ArchiveStream, first: int, last: int, status: int, headers: Mapping[str, str], kind: str) -> Response:
    # Sent although the body is a stream: a caller sees by it that a download broke off.
    sized = {**headers, "Content-Length": str(last + 1 - first)}
    return StreamingResponse(stream.read(first, last), status, sized, media_type=kind)


def _wanted(headers: Mapping[str, str], stream: ArchiveStream) -> tuple[int, int] | None:
    """First and last byte that are asked for; None for the whole, also where what the caller has is of another time."""
    asked = _RANGE.fullmatch(headers.get("range", "").strip())
    unless = headers.get("if-range")
    if asked is None or asked.groups() == ("", "") or (unless is not None and unless.strip() != stream.tag):
        return None
    first, last = asked.groups()
    if not first:
        # `bytes=-n`: the last n bytes.
        return max(0, stream.size - _number(last)), stream.size - 1
    return _number(first), min(_number(last), stream.size - 1) if last else stream.size - 1


def _number(digits: str) -> int:
    """A position or a length, which may have any number of digits: too many of them say "beyond the end"."""
    significant = digits.lstrip("0")
    # Python refuses to read numbers of thousands of digits.
    return int(significant or 0) if len(significant) <= MOST_DIGITS else 10**MOST_DIGITS


def _token(name: str) -> str:
    """A name as a header may have it: a model's folder may hold files of any name."""
    return re.sub(r"[^\w .()+-]", "_", name, flags=re.ASCII)


def _listed(tags: str) -> list[str]:
    return [tag.strip() for tag in tags.split(",")]
