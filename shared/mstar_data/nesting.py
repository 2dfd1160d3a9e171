"""Bounds how deep the JSON of a file is nested, while it is read.

A streaming parser keeps the path of every open list and object: 100,000 levels in 200 kB take tens of gigabytes.
"""

import re
from itertools import accumulate
from typing import BinaryIO

from mstar_data.record import BadRecord

MAX_DEPTH = 64
# Possessive, so that a string without an end is not tried again from every place inside of it.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+("|\\?\Z)', re.DOTALL)
"""A string, or the part of it that a chunk holds; the group is what ended it."""
_NO_NUMBER = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|-?(?:NaN|Infinity)', re.DOTALL)
"""A string, or what Python and pandas write for a number that is none, which JSON does not know."""
_CUT = re.compile(rb"(?:-?(?:Na?|I|In|Inf|Infi|Infin|Infini|Infinit)|-)\Z")
"""What such a number may begin with at the end of a chunk."""
_BRACKETS = b"[]{}"
_OTHERS = bytes(byte for byte in range(256) if byte not in _BRACKETS)
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class ShallowFile:
    """A file for a parser, which reads it in chunks. It need not be valid JSON: `NaN` is read as null."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._depth = 0
        self._open = b""
        """What the string begins with that goes on in the next chunk: its quote, and a backslash not yet followed."""

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises BadRecord where they are nested more than MAX_DEPTH levels deep."""
        chunk = self._source.read(size)
        while _CUT.search(chunk[-9:]) and (more := self._source.read(9)):
            chunk += more
        if b"NaN" in chunk or b"Infinity" in chunk:
            # A string that the last chunk left open goes on here, so that what it says stays as it is.
            chunk = _NO_NUMBER.sub(_null, self._open + chunk)[len(self._open) :]
        if chunk:
            self._count(chunk)
        return chunk

    def _count(self, chunk: bytes) -> None:
        # A string that the last chunk left open goes on here, so that its brackets are left out too.
        whole, self._open = self._open + chunk, b""
        brackets = _STRING.sub(self._left_out, whole).translate(None, _OTHERS)
        depths = list(accumulate(map(_STEPS.__getitem__, brackets), initial=self._depth))
        if max(depths) > MAX_DEPTH:
            raise BadRecord(f"nested more than {MAX_DEPTH} levels deep")
        self._depth = depths[-1]

    def _left_out(self, string: re.Match[bytes]) -> bytes:
        if string[1] != b'"':
            self._open = b'"' + string[1]
        return b""


def _null(found: re.Match[bytes]) -> bytes:
    return found[0] if found[0].startswith(b'"') else b"null"
