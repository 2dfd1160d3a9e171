"""The image gate: bytes or a content hash in, RGB pixels out, decoded in a few limited child processes.

Nothing is ever fetched from an address. A child that crashes, hangs or runs out of memory or time is replaced, and the
image that did it is refused. What was decoded lately is found without waiting for any child.
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
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import IO

from cachetools import LRUCache
from PIL import Image

from mstar.api.images import ImageInput, read_base64
from mstar.errors import InvalidImage, InvalidInput, MstarError, NotFound, TooLarge, UnsupportedImage
from mstar.limited import child_environment
from mstar.pictures import MAX_PIXELS_TOGETHER
from mstar.types import Sha256
from mstar_artefacts.images import ImageStore

MAX_FILE_BYTES = 20_000_000
SECONDS_PER_IMAGE = 20.0
"""On the clock; the child itself ends after two seconds of work."""
REMEMBERED_BYTES = 256_000_000
RECALLED_CHARACTERS = 40_000
"""Of base64: read and hashed in less than the change to a thread and back takes."""
CHILDREN = max(2, min(4, os.cpu_count() or 1))
"""More than one, so that a slow image does not hold up the others."""


class ImageGate:
    """Decodes images and remembers them by content hash. Thread-safe."""

    def __init__(
        self,
        seconds_per_image: float = SECONDS_PER_IMAGE,
        children: int = CHILDREN,
        remembered_bytes: int = REMEMBERED_BYTES,
    ) -> None:
        """Start no child yet.

        `seconds_per_image`: a child that takes longer for one is replaced. `children`: images decoded at once.
        `remembered_bytes`: of decoded images that are kept.
        """
        self._lock = threading.Lock()
        """Held for an instant only, never while an image is decoded."""
        self._decoded: LRUCache[Sha256, Image.Image] = LRUCache(remembered_bytes, getsizeof=_size)
        self._under_way: dict[Sha256, Future[Image.Image]] = {}
        # The one used last is taken first, so that a quiet service starts only one.
        self._idle: queue.LifoQueue[_Child] = queue.LifoQueue()
        self._children = [_Child(seconds_per_image) for _ in range(children)]
        for child in self._children:
            self._idle.put(child)

    def decode(self, data: bytes) -> Image.Image:
        """RGB image. Raises UnsupportedImage (415), InvalidImage (422) or TooLarge (413)."""
        if len(data) > MAX_FILE_BYTES:
            raise TooLarge(f"image has {len(data)} bytes; at most {MAX_FILE_BYTES} are accepted", field="images")
        digest = hashlib.sha256(data).hexdigest()
        with self._lock:
            if (found := self._decoded.get(digest)) is not None:
                return found
            # Many prompts bring one image at the same moment; it is decoded once, and the others wait for that.
            first = digest not in self._under_way
            result = self._under_way.setdefault(digest, Future())
        if first:
            self._decode_for_all(digest, data, result)
        return result.result()

    def known(self, digest: Sha256) -> Image.Image | None:
        """The image of this content hash if it was decoded lately; returns at once whatever is being decoded."""
        with self._lock:
            return self._decoded.get(digest)

    def recall(self, image: ImageInput) -> Image.Image | None:
        """The image that a request names or brings, if it was decoded lately; soon enough for an event loop.

        A large one that is brought is not looked for, and none that is not base64: `resolve` says what is wrong with
        it.
        """
        if image.sha256 is not None:
            return self.known(image.sha256)
        if image.data is None or len(image.data) > RECALLED_CHARACTERS:
            return None
        with contextlib.suppress(InvalidImage):
            return self.known(hashlib.sha256(read_base64(image.data)).hexdigest())
        return None

    def resolve(self, image: ImageInput, store: ImageStore) -> Image.Image:
        """The image that a request names by hash or brings as base64. Raises NotFound for an unknown hash."""
        if image.sha256 is not None:
            return self.known(image.sha256) or self.decode(store.get(image.sha256))
        return self.decode(read_base64(image.data or ""))

    def resolve_all(self, images: Sequence[ImageInput], store: ImageStore) -> tuple[Image.Image, ...]:
        """Those of one question. Raises what `resolve` raises, naming the place, and what `check_together` raises."""
        found = []
        for place, image in enumerate(images):
            try:
                found.append(self.resolve(image, store))
            except (InvalidInput, NotFound, TooLarge) as error:
                # Others may wait for the same image, so the error is not ours to change.
                field = (error.field or "images").replace("images", f"images.{place}", 1)
                raise type(error)(error.detail, field=field) from error
            check_together(found)
        return tuple(found)

    def close(self) -> None:
        """End the children, once the images under way are decoded."""
        for _ in self._children:
            # Taking a child waits until it is free, so an image under way is not cut off.
            self._idle.get().stop()
        for child in self._children:
            self._idle.put(child)

    def _decode_for_all(self, digest: Sha256, data: bytes, result: "Future[Image.Image]") -> None:
        """Decode what others may wait for too."""
        # Waits for a free child; the thread of the request is what queues here, never the event loop.
        child = self._idle.get()
        try:
            image = child.decode(data)
        except BaseException as error:
            with self._lock:
                del self._under_way[digest]
            result.set_exception(error)
            return
        finally:
            self._idle.put(child)
        with self._lock:
            del self._under_way[digest]
            # One that is larger than the whole memory is not kept.
            with contextlib.suppress(ValueError):
                self._decoded[digest] = image
        result.set_result(image)


class _Child:
    """One decoding process, started when it is first needed. Used by one thread at a time."""

    def __init__(self, seconds_per_image: float) -> None:
        self.seconds_per_image = seconds_per_image
        self.process: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], object] = lambda: None

    def decode(self, data: bytes) -> Image.Image:
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        timer = threading.Timer(self.seconds_per_image, process.kill)
        timer.start()
        try:
            # The timer kills a child that neither reads nor answers, which ends this write, or the read below.
            process.stdin.write(struct.pack(">I", len(data)) + data)
            process.stdin.flush()
            return _read_answer(process.stdout)
        except MstarError:
            raise
        except (BrokenPipeError, EOFError):
            self.stop()
            raise InvalidImage(
                "image could not be decoded within the limits of memory and time", field="images"
            ) from None
        except BaseException:
            # Half an answer may be left in the pipe.
            self.stop()
            raise
        finally:
            timer.cancel()

    def stop(self) -> None:
        """End the process; the next image starts another."""
        self._end()
        self.process = None

    def _running(self) -> "subprocess.Popen[bytes]":
        if self.process is None or self.process.poll() is not None:
            self.stop()
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mstar_models.image_decoder"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=child_environment(),
            )
            self._end = weakref.finalize(self, _end, self.process)
        return self.process


def check_together(images: Sequence[Image.Image]) -> None:
    """Raises TooLarge for images of one question that have too many pixels together."""
    pixels = sum(image.width * image.height for image in images)
    if pixels > MAX_PIXELS_TOGETHER:
        detail = (
            f"{len(images)} images of one question have {pixels} pixels; {MAX_PIXELS_TOGETHER} are accepted together"
        )
        raise TooLarge(detail, field="images")


def _size(image: Image.Image) -> int:
    """Bytes of an RGB image."""
    return image.width * image.height * 3


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill and reap the process of a gate that was closed or is no longer used."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    process.wait()


def _read_answer(source: IO[bytes]) -> Image.Image:
    line = source.readline()
    if not line:
        raise EOFError
    head = json.loads(line)
    if "code" in head:
        kind = UnsupportedImage if head["code"] == UnsupportedImage.code else InvalidImage
        raise kind(head["detail"], field="images")
    size = head["width"] * head["height"] * 3
    pixels = source.read(size)
    # A child that was killed in the middle of its answer.
    if len(pixels) < size:
        raise EOFError
    return Image.frombytes("RGB", (head["width"], head["height"]), pixels)
