"""The client whose calls return when the answer is there."""

import random
import time
from collections.abc import Callable, Iterator
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
from mstar.errors import Internal, MstarError
from mstar.http_json import Sender, Target

# Seconds. Connecting takes milliseconds where somebody listens; an answer may take a while.
TIMEOUT = httpx2.Timeout(60, connect=3)


class Client(RunOperations, EvaluationOperations, AdminOperations, ModelOperations):
    """Synchronous client; thread-safe. Close it, or use it as a context manager."""

    def __init__(
        self,
        endpoint: Endpoint,
        transport: httpx2.BaseTransport | None = None,
        retries: Retries | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`transport`: a test's, instead of the network."""
        self.endpoint = endpoint
        self._retries = retries or Retries()
        self._sleep = sleep
        self._sender = Sender(TIMEOUT, transport)

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reachable(self) -> bool:
        """Whether a coordinator answers."""
        return self._sender.reaches(self.endpoint.runs, "/livez", 2)

    def perform(self, call: Call[Reply]) -> Reply:
        """The answer to a call, which may be sent several times. Raises what the service answers with."""
        tried = 0
        while True:
            try:
                return self._sender.send(call.target, call.method, call.path, call.reply, **call.arguments())
            except MstarError as error:
                tried += 1
                self._rest(tried, error, repeatable=call.repeatable)

    def follow(self, run_id: str, after: int = 0) -> Iterator[Event]:
        """Events of a run as they happen, until it has ended; a connection that breaks off is made again."""
        reader, failed = EventReader(after), 0
        while True:
            before = reader.last
            try:
                with self._sender.stream(self.endpoint.runs, f"/v1/runs/{run_id}/events", reader.headers()) as answer:
                    for line in answer.iter_lines():
                        yield from reader.feed(line)
                # A stream may end before the run's last events were sent, so the end of the run alone is not enough.
                if self.run(run_id).state in ENDED and not self.events(run_id, str(reader.last), 1).data:
                    return
                failed = 0
                if reader.last == before:
                    # A proxy that ends streams at once would otherwise be asked as fast as it answers.
                    self._sleep(self._retries.first)
            except MstarError as error:
                # Tries are counted anew after progress: a run of days may lose its connection any number of times.
                failed = 1 if reader.last > before else failed + 1
                self._rest(failed, error, repeatable=True)

    def download_file(self, run_id: str, part: Part, name: str, begin: int, size: int) -> Iterator[bytes]:
        """A file from a byte on, piece by piece; nothing where it ends there."""
        if begin < size:
            yield from self._pieces(self.endpoint.runs, file_path(run_id, part, name), begin)

    def download_stretch(self, run_id: str, part: Part, begin: int, end: int) -> Iterator[bytes]:
        """Bytes of the archive of a part, from `begin` up to the one before `end`, piece by piece."""
        if begin < end:
            yield from self._pieces(self.endpoint.runs, archive_path(run_id, part), begin, end)

    def dataset(self, run_id: str, part: Part = Part.COT_DATASET) -> Iterator[dict[str, Any]]:
        """Rows of one of the two data sets that a run leaves."""
        return self._rows(self.endpoint.runs, file_path(run_id, part, rows_file(part)))

    def file_rows(self, file_id: str) -> Iterator[dict[str, Any]]:
        """Rows of a file, such as the answers of a batch (`output_file_id`)."""
        return self._rows(self.endpoint.bulk, f"/v1/files/{file_id}/content")

    def _rows(self, target: Target, path: str) -> Iterator[dict[str, Any]]:
        reader = LineReader()
        for piece in self._pieces(target, path, 0):
            yield from reader.feed(piece)
        yield from reader.rest()

    def _pieces(self, target: Target, path: str, begin: int, end: int | None = None) -> Iterator[bytes]:
        with self._sender.stream(target, path, file_headers(begin, end)) as answer:
            # A proxy may drop the Range header: a whole file would be appended to the part that is there.
            if begin and answer.status_code != 206:
                raise Internal(f"{target.shown} sends the whole file where a part was asked for")
            yield from answer.iter_bytes()

    def _rest(self, tried: int, error: MstarError, *, repeatable: bool) -> None:
        """Wait before the next try. Raises the error where there is to be none."""
        pause = self._retries.pause(tried, error, repeatable=repeatable, draw=random.random())
        if pause is None:
            raise error
        self._sleep(pause)
