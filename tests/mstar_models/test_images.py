"""The image gate: what is let in, what is refused, and what a bad file can do (nothing)."""

import base64
import hashlib
import io
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from mstar.api.images import ImageInput
from mstar.errors import InvalidImage, NotFound, TooLarge, UnsupportedImage
from mstar_artefacts.images import ImageStore
from mstar_models.images import MAX_FILE_BYTES, ImageGate


@pytest.fixture
def gate() -> Iterator[ImageGate]:
    gate = ImageGate()
    yield gate
    gate.close()


def encoded(kind: str, size: tuple[int, int] = (8, 4), **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 10, 90)).save(out, kind, **options)
    return out.getvalue()


def processes(gate: ImageGate) -> "list[subprocess.Popen[bytes]]":
    """Those that were started."""
    return [child.process for child in gate._children if child.process is not None]


def png_of(width: int, height: int) -> bytes:
    """A PNG header that promises more pixels than its data holds."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.skipif(sys.platform != "linux", reason="reads the environment of another process")
def test_what_decodes_has_none_of_the_services_keys(gate: ImageGate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSTAR_POLICY_INTERNAL_KEY", "secret")
    gate.decode(encoded("PNG"))
    (child,) = processes(gate)
    found = Path(f"/proc/{child.pid}/environ").read_bytes()
    assert b"PATH=" in found and b"MSTAR_" not in found


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_still_pictures_of_three_formats_are_read(gate: ImageGate, kind: str) -> None:
    image = gate.decode(encoded(kind))
    assert (image.size, image.mode) == ((8, 4), "RGB")


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (b"", UnsupportedImage, "not a readable"),
        (b"<svg/>", UnsupportedImage, "not a readable"),
        (encoded("BMP"), UnsupportedImage, "not a readable"),
        (encoded("TIFF"), UnsupportedImage, "not a readable"),
        (encoded("PNG", (60, 60))[:-30], InvalidImage, "damaged"),
        (png_of(100_000, 100_000), (InvalidImage, UnsupportedImage), "image"),
        (png_of(20_000, 3), InvalidImage, "too narrow"),
        (png_of(3000, 3000), InvalidImage, "damaged"),
    ],
)
def test_what_is_no_such_picture_is_refused(
    gate: ImageGate, data: bytes, error: type[Exception] | tuple[type[Exception], ...], said: str
) -> None:
    with pytest.raises(error, match=said):
        gate.decode(data)
    assert gate.decode(encoded("PNG")).size == (8, 4)


def test_moving_pictures_are_refused(gate: ImageGate) -> None:
    out = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 200)]
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    with pytest.raises(InvalidImage, match="animated"):
        gate.decode(out.getvalue())


def test_a_file_beyond_the_limit_is_refused_unopened(gate: ImageGate) -> None:
    with pytest.raises(TooLarge):
        gate.decode(b"\0" * (MAX_FILE_BYTES + 1))


def test_a_child_that_was_killed_is_replaced(gate: ImageGate) -> None:
    gate.decode(encoded("PNG"))
    (process,) = processes(gate)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert gate.decode(encoded("PNG", (3, 3))).size == (3, 3)


def test_a_child_that_hangs_is_replaced() -> None:
    # A child needs seconds for its first image on a busy machine; only the one that hangs gets little time.
    gate = ImageGate(seconds_per_image=60, children=1)
    gate.decode(encoded("PNG"))
    (process,) = processes(gate)
    os.kill(process.pid, signal.SIGSTOP)
    gate._children[0].seconds_per_image = 0.5
    with pytest.raises(InvalidImage, match="limits of memory and time"):
        gate.decode(encoded("PNG", (3, 3)))
    gate._children[0].seconds_per_image = 60
    assert gate.decode(encoded("PNG", (3, 3))).size == (3, 3)
    gate.close()


def test_a_slow_image_holds_up_neither_others_nor_what_is_known() -> None:
    gate = ImageGate(seconds_per_image=60, children=2)
    known, slow = encoded("PNG"), encoded("PNG", (5, 5))
    gate.decode(known)
    (process,) = processes(gate)
    os.kill(process.pid, signal.SIGSTOP)
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(gate.decode, slow) for _ in range(2)]
        while not gate._under_way:
            time.sleep(0.001)
        assert gate.known(hashlib.sha256(known).hexdigest()) is gate.decode(known)
        assert gate.decode(encoded("PNG", (6, 6))).size == (6, 6)
        assert not any(one.done() for one in waiting)
        os.kill(process.pid, signal.SIGCONT)
        assert waiting[0].result() is waiting[1].result(), "decoded once for both"
    gate.close()


def test_what_is_remembered_is_bounded_by_bytes() -> None:
    gate = ImageGate(remembered_bytes=900)
    images = [encoded("PNG", (10, width)) for width in (10, 11, 12, 40)]
    for data in images:
        gate.decode(data)
    remembered = [gate.known(hashlib.sha256(data).hexdigest()) is not None for data in images]
    assert remembered == [False, True, True, False], "one too large for the whole is not kept"
    gate.close()


def test_no_child_outlives_its_gate() -> None:
    gates = [ImageGate(), ImageGate()]
    for gate in gates:
        gate.decode(encoded("PNG"))
    ended = [process for gate in gates for process in processes(gate)]
    gates[0].close()
    del gate, gates[1]
    assert len(ended) == 2
    assert all(process.poll() is not None for process in ended)


def test_a_picture_is_decoded_once(gate: ImageGate) -> None:
    assert gate.decode(encoded("PNG")) is gate.decode(encoded("PNG"))


def test_pictures_come_by_hash_or_as_bytes(gate: ImageGate, tmp_path: Path) -> None:
    store, data = ImageStore(tmp_path), encoded("PNG")
    digest = store.put(data)
    assert digest == hashlib.sha256(data).hexdigest()
    by_hash = gate.resolve(ImageInput(sha256=digest), store)
    as_bytes = gate.resolve(ImageInput(data=base64.b64encode(data).decode()), store)
    assert by_hash.tobytes() == as_bytes.tobytes()
    with pytest.raises(NotFound):
        gate.resolve(ImageInput(sha256="0" * 64), store)
    with pytest.raises(InvalidImage, match="base64"):
        gate.resolve(ImageInput(data="%%%"), store)
