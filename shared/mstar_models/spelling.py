"""What each token spells, and where the steps of a response end in its tokens.

Byte-level vocabularies split a character over several tokens, and a token may join the end of a step with the blank
line after it. So places are compared in bytes. What this leaves out: where steps begin in the text (`mstar.layout`).
"""

import hashlib
import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from itertools import accumulate, pairwise
from typing import Any

from mstar.layout import STEP_SEPARATOR, gaps, join_segments, segment_spans

TORN = "\ufffd"
"""What a tokenizer makes of bytes that are not a whole character, and we of NUL."""
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""A token of SentencePiece's byte fallback."""


class Spelling:
    """Tokens of one tokenizer as bytes and text."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._added = frozenset(tokenizer.added_tokens_decoder)
        self._decoders = _decoders(tokenizer)
        self._known: dict[int, bytes] = {}
        self.digest = vocabulary_digest(tokenizer)
        """Tells whether the ids of another service mean the same tokens."""

    def read(self, tokens: Sequence[int]) -> str:
        """Text of tokens, special ones by their name; NUL and bytes that are not a whole character become `TORN`."""
        # A byte-level vocabulary has a token for NUL, which neither requests nor databases take as text.
        return str(self._tokenizer.decode(tokens, skip_special_tokens=False)).replace("\x00", TORN)

    def bytes_of(self, token: int, *, first: bool = False) -> bytes:
        """UTF-8 bytes of one token, possibly part of a character.

        `first`: the token begins a text, where some vocabularies drop the space before the first word.
        """
        found = self._known.get(token)
        if found is None:
            found = self._known[token] = self._bytes(token)
        if first and found.startswith(b" ") and not self.read([token]).startswith(" "):
            return found[1:]
        return found

    def places(self, tokens: Sequence[int]) -> list[int]:
        """How many bytes of the text are complete after each number of tokens, from none to all: [tokens + 1]."""
        pieces = [self.bytes_of(token, first=place == 0) for place, token in enumerate(tokens)]
        # The pieces may go on after the text: bytes of half a character at the end are in no text.
        if b"".join(pieces).startswith(self.read(tokens).rstrip(TORN).encode()):
            return list(accumulate(map(len, pieces), initial=0))
        # A tokenizer that spells a token by its neighbours: only what it makes of every beginning is certain.
        return [len(self.read(tokens[:end]).rstrip(TORN).encode()) for end in range(len(tokens) + 1)]

    def _bytes(self, token: int) -> bytes:
        named = self._tokenizer.convert_ids_to_tokens(token)
        if named is None:
            # A row of the embeddings that only fills them up to a round number.
            return b""
        piece = str(named)
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


def step_ends(
    spelling: Spelling, tokens: Sequence[int], ends: Collection[int] = (), separator: str = STEP_SEPARATOR
) -> tuple[int, ...]:
    """For each of the `scored_segments` of a response, how many of its tokens lie up to its end.

    `ends`: tokens that end a turn, which belong to no segment. A segment includes the white space after it, as far
    as whole tokens reach. Where no token ends in the white space between two segments, both end where the second does,
    so that nothing is ever cut within a token.
    """
    body = list(tokens)
    while body and body[-1] in ends:
        body.pop()
    text = spelling.read(body).rstrip(TORN)
    return _ends(spelling, body, text, segment_spans(text, separator))


def segment_ends(
    spelling: Spelling, tokens: Sequence[int], segments: Sequence[str], separator: str = STEP_SEPARATOR
) -> tuple[int, ...] | None:
    """The same for tokens that spell these segments as they are joined; None where they spell another text."""
    text = join_segments(segments, separator)
    if not segments or spelling.read(tokens) != text:
        return None
    between = map(len, (*gaps(segments, separator), ""))
    behind = list(accumulate(map(sum, zip(map(len, segments), between, strict=True)), initial=0))
    spans = [(begin, begin + len(segment)) for begin, segment in zip(behind, segments, strict=False)]
    return _ends(spelling, tokens, text, spans)


def _ends(spelling: Spelling, tokens: Sequence[int], text: str, spans: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    places = spelling.places(tokens)
    found = [len(tokens)] * len(spans)
    for place in range(len(spans) - 2, -1, -1):
        gap = (len(text[: spans[place][1]].encode()), len(text[: spans[place + 1][0]].encode()))
        # From behind, so that a segment without an end of its own takes that of the next one.
        found[place] = _last_within(places, gap) or found[place + 1]
    return tuple(found)


def cut(tokens: Sequence[int], ends: Sequence[int]) -> list[tuple[int, ...]]:
    """Tokens of each segment, from the number of tokens up to the end of each; empty where two end together."""
    return [tuple(tokens[begin:end]) for begin, end in pairwise((0, *ends))]


@lru_cache(maxsize=4)
def spelling_of(tokenizer: Any) -> Spelling:
    """The spelling of a tokenizer, remembered: it knows more tokens with every text."""
    return Spelling(tokenizer)


@lru_cache(maxsize=4)
def vocabulary_digest(tokenizer: Any) -> str:
    """Digest of which id stands for which token."""
    # By id, then by text: two texts of one id must not make the order a matter of chance.
    pairs = sorted(tokenizer.get_vocab().items(), key=lambda pair: (pair[1], pair[0]))
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()[:16]


def _last_within(places: Sequence[int], gap: tuple[int, int]) -> int | None:
    """The largest number of tokens that end within a gap; None where none does."""
    low, high = gap
    nearest = places[bisect_right(places, high) - 1]
    # Tokens that complete no character leave the place as it is: they belong to what follows.
    return bisect_left(places, nearest) or None if nearest >= low else None


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
