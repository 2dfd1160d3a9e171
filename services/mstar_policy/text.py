"""Turns tokens into text: bytes of a single token, characters of a growing sequence, and stop strings.

Byte-level vocabularies split characters of up to four bytes over several tokens, so a single token may be half a
character. What this leaves out: how prompts become tokens (`mstar_models.encoding`).
"""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from mstar.layout import STEP_SEPARATOR
from mstar_models.spelling import TORN, spelling_of, step_ends


class Vocabulary(Protocol):
    """Tokens of one model as text."""

    @property
    def ends(self) -> Collection[int]:
        """Tokens that end a turn; its text does not include them."""

    @property
    def digest(self) -> str:
        """Tells whether the ids of another service mean the same tokens."""

    def read(self, tokens: Sequence[int]) -> str:
        """Text of tokens, special ones by their name; NUL and bytes that are not a whole character become `TORN`."""

    def bytes_of(self, token: int, *, first: bool = False) -> bytes:
        """UTF-8 bytes of one token, possibly part of a character.

        `first`: the token begins a text, where some vocabularies drop the space before the first word.
        """

    def step_ends(self, tokens: Sequence[int], separator: str = STEP_SEPARATOR) -> tuple[int, ...]:
        """For each segment of a whole response, how many of its tokens lie up to its end (`spelling.step_ends`)."""


class TokenizerVocabulary:
    """Implements `Vocabulary` over a tokenizer of transformers."""

    def __init__(self, tokenizer: Any, ends: Collection[int]) -> None:
        self._spelling = spelling_of(tokenizer)
        self.ends = frozenset(ends)
        self.digest = self._spelling.digest

    def read(self, tokens: Sequence[int]) -> str:
        """See `Vocabulary`."""
        return self._spelling.read(tokens)

    def bytes_of(self, token: int, *, first: bool = False) -> bytes:
        """See `Vocabulary`."""
        return self._spelling.bytes_of(token, first=first)

    def step_ends(self, tokens: Sequence[int], separator: str = STEP_SEPARATOR) -> tuple[int, ...]:
        """See `Vocabulary`."""
        return step_ends(self._spelling, tokens, self.ends, separator)


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
        # Only the last piece stays as context, so the cost of a token does not grow with the text.
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
            # The smallest end, and among equal ends the smallest place, which is the longest string.
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
