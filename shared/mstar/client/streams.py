"""Parsers for what clients read piece by piece: server-sent events, JSON lines, and ranges of a file. No I/O."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from mstar.api.downloads import Part
from mstar.api.runs import Event
from mstar.errors import Internal
from mstar.evolution import RunState

EVENT_STREAM = "text/event-stream"
ENDED = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})


class EventReader:
    """Turns lines of a run's event stream into events, over any number of connections.

    Format: WHATWG HTML, section 9.2.6. Only `data` is read, which has the event's id as well.
    """

    def __init__(self, after: int) -> None:
        self.last = after
        """Id of the event that was read last."""
        self._data: list[str] = []

    def headers(self) -> dict[str, str]:
        """What the next connection sends, to go on after the last event."""
        # Half an event of a broken connection: the next one sends it whole, since `last` is still before it.
        self._data = []
        return {"Accept": EVENT_STREAM, "Last-Event-ID": str(self.last)}

    def feed(self, line: str) -> Iterator[Event]:
        """The event that a line ends, if it does. Raises Internal for what is not an event."""
        if line.startswith("data:"):
            self._data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and self._data:
            text, self._data = "\n".join(self._data), []
            try:
                event = Event.model_validate_json(text)
            except ValidationError as error:
                raise Internal("the event stream has a line that is not an event: is it another version?") from error
            self.last = event.id
            yield event


class LineReader:
    """Turns pieces of a file of JSON lines into objects. Only a line feed ends a line."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        """Pieces of a line that has not ended. Joined once: a line may come in thousands of them."""

    def feed(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """The objects of the lines that end in a piece. Raises Internal for a line that is none."""
        # Bytes are cut and not text, so a character that two pieces share is whole before it is decoded.
        ended, found, begun = piece.rpartition(b"\n")
        if not found:
            self._rest.append(begun)
            return iter(())
        lines = b"".join([*self._rest, ended]).split(b"\n")
        self._rest = [begun]
        return map(_object, filter(bytes.strip, lines))

    def rest(self) -> Iterator[dict[str, Any]]:
        """The object of a last line without a line feed."""
        return self.feed(b"\n")


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise Internal("a line of the file is not JSON: is the file damaged?") from error
    if not isinstance(found, dict):
        raise Internal(f"a line of the file is a {type(found).__name__}, not an object: is the file damaged?")
    return found


def archive_path(run_id: str, part: Part) -> str:
    """Path of the archive of a part."""
    return f"/v1/runs/{run_id}/downloads/{part.value}"


def file_path(run_id: str, part: Part, name: str) -> str:
    """Path of one file of a run."""
    return f"{archive_path(run_id, part)}/files/{quote(name)}"


def file_headers(begin: int, end: int | None) -> dict[str, str]:
    """What asks for a file from a byte on, up to the one before `end` or to its own end, uncompressed."""
    # Bytes of a file are counted as they lie there: a body that is compressed on the way would go on elsewhere.
    whole = {"Accept-Encoding": "identity"}
    if not begin and end is None:
        return whole
    return whole | {"Range": f"bytes={begin}-{'' if end is None else end - 1}"}


def rows_file(part: Part) -> str:
    """The file of a data set that has its rows."""
    return f"{part.value}/metadata.jsonl"
