"""The image gate: bytes or a content hash in, RGB pixels out, decoded in a limited child process.

Nothing is ever fetched from an address. A child that crashes, hangs or runs out of memory is replaced, and the image
that did it is refused.
"""

import base64
import binascii
import contextlib
import hashlib
import json
import struct
import subprocess
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import IO

from PIL import Image

from mstar.api.images import ImageInput
from mstar.errors import InvalidImage, TooLarge, UnsupportedImage
from mstar.types import Sha256
from mstar_artefacts.images import ImageStore

MAX_FILE_BYTES = 20_000_000
SECONDS_PER_IMAGE = 20.0
REMEMBERED_BYTES = 256_000_000


class ImageGate:
    """Decodes through one child process and remembers decoded images by content hash. Thread-safe."""

    def __init__(self, seconds_per_image: float = SECONDS_PER_IMAGE) -> None:
        """`seconds_per_image`: a child that takes longer for one is replaced."""
        self._seconds_per_image = seconds_per_image
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._end_child: Callable[[], object] = lambda: None
        self._decoded: OrderedDict[Sha256, Image.Image] = OrderedDict()
        self._bytes = 0

    def decode(self, data: bytes) -> Image.Image:
        """RGB image. Raises UnsupportedImage (415), InvalidImage (422) or TooLarge (413)."""
        if len(data) > MAX_FILE_BYTES:
            raise TooLarge(f"image has {len(data)} bytes; at most {MAX_FILE_BYTES} are accepted", field="image")
        digest = hashlib.sha256(data).hexdigest()
        with self._lock:
            found = self._decoded.get(digest)
            if found is None:
                found = self._in_child(data)
                self._remember(digest, found)
            return found

    def resolve(self, image: ImageInput, store: ImageStore) -> Image.Image:
        """The image that a request names by hash or brings as base64. Raises NotFound for an unknown hash."""
        if image.sha256 is not None:
            with self._lock:
                found = self._decoded.get(image.sha256)
            return found or self.decode(store.get(image.sha256))
        try:
            data = base64.b64decode(image.data or "", validate=True)
        except (binascii.Error, ValueError):
            raise InvalidImage("image.data is not standard base64", field="image.data") from None
        return self.decode(data)

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._stop()

    def _remember(self, digest: Sha256, image: Image.Image) -> None:
        self._decoded[digest] = image
        self._bytes += image.width * image.height * 3
        while self._bytes > REMEMBERED_BYTES:
            _, old = self._decoded.popitem(last=False)
            self._bytes -= old.width * old.height * 3

    def _in_child(self, data: bytes) -> Image.Image:
        child = self._running()
        assert child.stdin is not None and child.stdout is not None
        timer = threading.Timer(self._seconds_per_image, child.kill)
        timer.start()
        try:
            child.stdin.write(struct.pack(">I", len(data)) + data)
            child.stdin.flush()
            return _read_answer(child.stdout)
        except (BrokenPipeError, EOFError):
            self._stop()
            raise InvalidImage(
                "image could not be decoded within the limits of memory and time", field="image"
            ) from None
        finally:
            timer.cancel()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._stop()
            self._child = subprocess.Popen(
                [sys.executable, "-m", "mstar_models.decoder"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._end_child = weakref.finalize(self, _end, self._child)
        return self._child

    def _stop(self) -> None:
        self._end_child()
        self._child = None


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Kill and reap the child of a gate that was closed or is no longer used."""
    child.kill()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    child.wait()


def _read_answer(source: IO[bytes]) -> Image.Image:
    line = source.readline()
    if not line:
        raise EOFError
    head = json.loads(line)
    if "code" in head:
        kind = UnsupportedImage if head["code"] == UnsupportedImage.code else InvalidImage
        raise kind(head["detail"], field="image")
    size = head["width"] * head["height"] * 3
    pixels = source.read(size)
    if len(pixels) < size:
        raise EOFError
    return Image.frombytes("RGB", (head["width"], head["height"]), pixels)
