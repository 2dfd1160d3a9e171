"""Decodes every image of a data set once, in limited child processes, and says what it looks like.

The children are those of the model services (`mstar_models.image_fingerprints`), so what passes here passes in a run.
"""

import contextlib
import hashlib
import json
import os
import queue
import struct
import subprocess
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from typing import TypeVar

from mstar.errors import InvalidDataset
from mstar.limited import child_environment
from mstar_data.known_images import KnownImages
from mstar_data.looks import Fingerprint

MAX_FILE_BYTES = 20_000_000
"""As in the model services."""
SECONDS_PER_IMAGE = 20.0
REMEMBERED = 200_000
"""Fingerprints kept by content, about 100 bytes each; a set asks several questions about an image."""
AHEAD = 64
AHEAD_BYTES = 128 * 2**20
"""Records whose images are decoded at a time, and their files' bytes: bounds the memory."""
COMMAND = (sys.executable, "-m", "mstar_models.image_fingerprints")
Subject = TypeVar("Subject")


class Fingerprints:
    """A few children at work. A context manager."""

    def __init__(self, children: int = max(1, min(4, os.cpu_count() or 1)), known: KnownImages | None = None) -> None:
        """`known`: what was found out earlier, and where to remember what is found out now."""
        if find_spec("PIL") is None:
            raise InvalidDataset("images are decoded with Pillow: pip install pillow", field="source")
        # The one used last is taken first, so that a small set starts only one.
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        self._children = [_Child() for _ in range(children)]
        for child in self._children:
            self._idle.put(child)
        self._threads = ThreadPoolExecutor(children)
        self._known: OrderedDict[bytes, Fingerprint | str] = OrderedDict()
        self._kept = known

    def __enter__(self) -> "Fingerprints":
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        for child in self._children:
            child.stop()

    def of(self, data: bytes) -> Fingerprint:
        """Raises ValueError that says why the image cannot be used."""
        return next(iter(self.each([(None, data)])))[1].result()

    def each(self, pairs: Iterable[tuple[Subject, bytes | None]]) -> "Iterator[tuple[Subject, Future[Fingerprint]]]":
        """Each subject with its image's fingerprint, in order; the future raises ValueError for an image of no use.

        A subject without an image keeps its place, with a future that nobody may ask.
        """
        waiting: deque[tuple[Subject, Future[Fingerprint], int]] = deque()
        size = 0
        for subject, data in pairs:
            waiting.append((subject, Future() if data is None else self._submitted(data), len(data or b"")))
            size += waiting[-1][2]
            # The oldest first, and never the one that is ready: counts up to a record must not depend on speed.
            while len(waiting) >= AHEAD or (size > AHEAD_BYTES and waiting):
                first, look, held = waiting.popleft()
                size -= held
                yield first, look
        for first, look, _ in waiting:
            yield first, look

    def _submitted(self, data: bytes) -> "Future[Fingerprint]":
        digest = hashlib.sha256(data).digest()
        known = self._known.get(digest)
        if known is None and self._kept is not None:
            known = self._kept.get(digest.hex())
        if known is None:
            return self._threads.submit(self._decoded, digest, data)
        self._remember(digest, known)
        self._known.move_to_end(digest)
        done: Future[Fingerprint] = Future()
        done.set_exception(ValueError(known)) if isinstance(known, str) else done.set_result(known)
        return done

    def _decoded(self, digest: bytes, data: bytes) -> Fingerprint:
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"the image has {len(data)} bytes; at most {MAX_FILE_BYTES} are accepted")
        child = self._idle.get()
        try:
            found = child.ask(digest.hex(), data)
        except ValueError as error:
            self._remember(digest, str(error))
            # What ended the child may have been a busy machine, so only this process remembers that.
            if self._kept is not None and not isinstance(error, _Ended):
                self._kept.put(digest.hex(), str(error))
            raise
        finally:
            self._idle.put(child)
        self._remember(digest, found)
        if self._kept is not None:
            self._kept.put(digest.hex(), found)
        return found

    def _remember(self, digest: bytes, found: Fingerprint | str) -> None:
        self._known[digest] = found
        # Two threads may both be about to take the last one.
        with contextlib.suppress(KeyError):
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)


class _Ended(ValueError):
    """The child ended before it answered."""


class _Child:
    """One process, started when it is first needed. Used by one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, sha256: str, data: bytes) -> Fingerprint:
        if self._process is None:
            self._process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_environment()
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        timer = threading.Timer(SECONDS_PER_IMAGE, process.kill)
        timer.start()
        try:
            process.stdin.write(struct.pack(">I", len(data)) + data)
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            timer.cancel()
        if not line.endswith(b"\n"):
            self.stop()
            raise _Ended("the image could not be decoded within the limits of memory and time")
        answer = json.loads(line)
        if "code" in answer:
            raise ValueError(f"the {answer['detail']}")
        return Fingerprint(sha256, int(answer["outline"], 16), bytes.fromhex(answer["colours"]))

    def stop(self) -> None:
        """End the process; the next image starts another."""
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            process.kill()
            process.wait()
