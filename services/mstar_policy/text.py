"""Turns tokens into text: bytes of a single token, characters of a growing sequence, and stop strings.

Byte-level vocabularies split characters of up to four bytes over several tokens, so a single token may be half a
character. What this leaves out: how prompts become tokens (`mstar_models.encoding`).
"""

import json
import re
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, Protocol

TORN = "\ufffd"
"""What a tokenizer makes of bytes that are not a whole character."""
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""A token of SentencePiece's byte fallback."""


class Vocabulary(Protocol):
    """Tokens of one model as text."""

    @property
    def ends(self) -> Collection[int]:
        """Tokens that end a turn; its text does not include them."""

    def read(self, tokens: Sequence[int]) -> str:
        """Text of tokens, special ones by their name; bytes that are not a whole character become `TORN`."""

    def bytes_of(self, token: int, *, first: bool = False) -> bytes:
        """UTF-8 bytes of one token, possibly part of a character.

        `first`: the token begins a text, where some vocabularies drop the space before the first word.
        """


class TokenizerVocabulary:
    """Implements `Vocabulary` over a tokenizer of transformers."""

    def __init__(self, tokenizer: Any, ends: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self.ends = frozenset(ends)
        self._added = frozenset(tokenizer.added_tokens_decoder)
        self._decoders = _decoders(tokenizer)

    def read(self, tokens: Sequence[int]) -> str:
        """See `Vocabulary`."""
        return str(self._tokenizer.decode(tokens, skip_special_tokens=False))

    def bytes_of(self, token: int, *, first: bool = False) -> bytes:
        """See `Vocabulary`."""
        found = self._bytes(token)
        if first and found.startswith(b" ") and not self.read([token]).startswith(" "):
            return found[1:]
        return found

    def _bytes(self, token: int) -> bytes:
        piece = str(self._tokenizer.convert_ids_to_tokens(token))
        if "ByteLevel" in self._decoders and all(letter in _byte_of_letter() for letter in piece):
            return bytes(_byte_of_letter()[letter] for letter in piece)
        if token in self._added:
            return piece.encode()
        fallback = _BYTE.fullmatch(piece) if "ByteFallback" in self._decoders else None
        if fallback is not None:
            return bytes([int(fallback[1], 16)])
        if self._decoders & {"Metaspace", "ByteFallback"}:
            return piece.replace("\u2581", " ").encode()
        return self.read([token]).encode()


class TextWriter:
    """Decodes a growing sequence of tokens incrementally; the parts add up to the text of the whole."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._ids: list[int] = []
        self._begin = self._said = 0
        """Index of the first token that is read again, and number of tokens whose text was returned."""

    def more(self, ids: Sequence[int]) -> str:
        """Text that these tokens complete; empty where they end within a character."""
        self._ids += [token for token in ids if token not in self._vocabulary.ends]
        # How a token decodes may depend on the one before, so the previous part is decoded again and cut off.
        before = self._vocabulary.read(self._ids[self._begin : self._said])
        whole = self._vocabulary.read(self._ids[self._begin :])
        if whole.endswith(TORN):
            return ""
        self._begin, self._said = self._said, len(self._ids)
        return whole[len(before) :]

    def rest(self) -> str:
        """Text that was held back, without half a character at its end."""
        before = self._vocabulary.read(self._ids[self._begin : self._said])
        return self._vocabulary.read(self._ids[self._begin :]).rstrip(TORN)[len(before) :]


class StopSearch:
    """Ends growing text before the first complete stop string, and never returns a part of that string.

    Of several that are complete at the same character, the longest counts.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.found: str | None = None
        """The stop string that ended the text."""

    def more(self, piece: str) -> str:
        """Text that is certain not to belong to a stop string."""
        if self.found is not None:
            return ""
        text = self._held + piece
        ends = [(place + len(stop), place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if ends:
            _, place, self.found = min(ends)
            self._held = ""
            return text[:place]
        self._held = text[len(text) - self._begun(text) :]
        return text[: len(text) - len(self._held)]

    def rest(self) -> str:
        """Text that was held back as the possible beginning of a stop string, at the end of the sample."""
        held, self._held = self._held, ""
        return held

    def _begun(self, text: str) -> int:
        """Length of the longest suffix of the text that is a prefix of a stop string."""
        longest = max(map(len, self._stops), default=1) - 1
        lengths = range(min(longest, len(text)), 0, -1)
        return next((n for n in lengths if any(stop.startswith(text[-n:]) for stop in self._stops)), 0)


class StopWatch:
    """Tells for each token of a growing response whether it completes a stop string."""

    def __init__(self, vocabulary: Vocabulary, stops: Sequence[str]) -> None:
        self._writer, self._search = TextWriter(vocabulary), StopSearch(stops)

    def completes(self, token: int) -> bool:
        """Whether the response ends with this token."""
        self._search.more(self._writer.more([token]))
        return self._search.found is not None


def text_of(vocabulary: Vocabulary, ids: Sequence[int], stops: Sequence[str] = ()) -> str:
    """Text of a whole response up to its first stop string, without half a character at the end."""
    text = vocabulary.read([token for token in ids if token not in vocabulary.ends]).rstrip(TORN)
    search = StopSearch(stops)
    return search.more(text) + search.rest()


def _decoders(tokenizer: Any) -> frozenset[str]:
    """Names of the decoders of a tokenizer; empty where it is not backed by the `tokenizers` library."""
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    if decoder is None:
        return frozenset()
    state = json.loads(decoder.__getstate__())
    return frozenset(str(one["type"]) for one in (state, *state.get("decoders", ())))


@cache
def _byte_of_letter() -> dict[str, int]:
    """Alphabet of byte-level BPE (GPT-2): printable bytes stand for themselves, others for letters from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}
