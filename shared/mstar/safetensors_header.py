"""What a safetensors file says of its tensors, without reading one. Needs no torch.

The format: 8 bytes with the header's length, the header as JSON, the tensors one after the other without gaps.
"""

import os
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from mstar.documents import parse_json

MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors library."""
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


class Tensor(NamedTuple):
    """A tensor of a file."""

    name: str
    kind: str
    """As safetensors calls its type, such as BF16."""
    shape: tuple[int, ...]
    begin: int
    """First byte in the file, and the one after the last."""
    end: int


def tensors_of(path: Path) -> Iterator[Tensor]:
    """The tensors in the order in which they lie. Raises ValueError for a file that is not whole."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        # Eight bytes of length, and `{}`. Checked before reading, since the length is only what the file says.
        if size < 10 or length > min(size - 8, MAX_HEADER_BYTES):
            raise ValueError("it is cut off, or no safetensors file")
        header = parse_json(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is not an object")
    header.pop("__metadata__", None)
    if not header:
        raise ValueError("it holds no tensor")
    place = 0
    for name, (begin, end) in sorted(((n, _span(n, t)) for n, t in header.items()), key=lambda one: one[1]):
        # Gaps and overlaps are refused as the safetensors library does: bytes there belong to no tensor, or to two.
        if begin != place:
            raise ValueError(f"tensor {name[:100]!r} does not begin where the one before ends")
        place = end
        start = 8 + length
        yield Tensor(name, header[name]["dtype"], tuple(header[name]["shape"]), start + begin, start + end)
    if place != size - 8 - length:
        raise ValueError(f"it has {size - 8 - length} bytes of tensors, and its header describes {place}")


def _span(name: str, tensor: Any) -> tuple[int, int]:
    """First byte of a tensor and the one after its last. Raises ValueError."""
    wrong = ValueError(f"the description of tensor {name[:100]!r} is not one")
    if not isinstance(tensor, Mapping):
        raise wrong
    shape, offsets, bits = tensor.get("shape"), tensor.get("data_offsets"), _BITS.get(str(tensor.get("dtype")))
    for numbers in (shape, offsets):
        # `type` and not isinstance: true and false are integers to Python. The bound keeps their product computable.
        if not isinstance(numbers, list) or any(type(n) is not int or not 0 <= n < 2**60 for n in numbers):
            raise wrong
    assert isinstance(shape, list) and isinstance(offsets, list)
    if len(offsets) != 2 or bits is None or len(shape) > 16:
        raise wrong
    if 8 * (offsets[1] - offsets[0]) != bits * prod(shape):
        raise ValueError(f"tensor {name[:100]!r} has a shape that its bytes do not fill")
    return offsets[0], offsets[1]
