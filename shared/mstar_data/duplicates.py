"""Finds records that come twice: exactly, with a picture that nearly is the same, or in an evaluation set.

A near duplicate asks the same question about a picture that looks the same, and has the same answer: two pictures that
differ in one digit look alike, and their answers differ. Equal questions alone are common (`Find x.`), and so are
pictures with several questions, so neither alone is a duplicate inside a set. Between a training set and an evaluation
set a shared picture counts by itself, since a model can remember it.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mstar_data.looks import Fingerprint

FAR_BITS = 7
"""Outlines of 256 bits that differ in more places are of different pictures."""
FAR_COLOUR = 10
"""Mean distance of the parts' colours, of 255, beyond which pictures differ."""
_BANDS = FAR_BITS + 1
_BAND_BITS = 256 // _BANDS


def question_key(text: str, options: Iterable[str] = ()) -> bytes:
    """The same for questions that differ in case, white space and punctuation only; 16 bytes."""
    # Options belong to the question: `Which is larger?` is asked about many pairs.
    words = re.findall(r"\w+", " ".join([text, *options]).casefold())
    return hashlib.blake2b(" ".join(words).encode(), digest_size=16).digest()


def looks_like(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two pictures are the same but for size, format and compression."""
    if one.sha256 == other.sha256:
        return True
    # The cheap test first: most pairs differ in their outlines.
    if (one.outline ^ other.outline).bit_count() > FAR_BITS:
        return False
    distance = sum(abs(a - b) for a, b in zip(one.colours, other.colours, strict=True))
    return distance <= FAR_COLOUR * len(one.colours)


class ImageIndex:
    """Pictures that were seen, found again by likeness in about constant time.

    Two outlines that differ in at most FAR_BITS places agree in at least one of FAR_BITS + 1 bands. Flat pictures share
    bands with all others of their kind, so a crowded band is looked at only so far.
    """

    _CROWD = 64

    def __init__(self) -> None:
        self._seen: list[Fingerprint] = []
        self._exact: dict[str, int] = {}
        self._bands: dict[int, int | list[int]] = {}
        """Band → the one picture that has it, or several: most have one, and a list for each costs memory."""

    def place(self, picture: Fingerprint) -> int:
        """A number that is the same for pictures that look the same."""
        found = self.find(picture)
        if found is not None:
            return found
        number = len(self._seen)
        self._seen.append(picture)
        self._exact[picture.sha256] = number
        for key in _keys(picture.outline):
            there = self._bands.get(key)
            if there is None:
                # A number and no list while it is alone, which most are: lists would take most of the memory.
                self._bands[key] = number
            elif isinstance(there, int):
                self._bands[key] = [there, number]
            elif len(there) < self._CROWD:
                there.append(number)
        return number

    def find(self, picture: Fingerprint) -> int | None:
        """The number of a picture that looks like it; None where there is none."""
        exact = self._exact.get(picture.sha256)
        if exact is not None:
            return exact
        tried: set[int] = set()
        for key in _keys(picture.outline):
            there = self._bands.get(key, ())
            for number in (there,) if isinstance(there, int) else there:
                # Two outlines that are alike share many bands, and need one comparison only.
                if number not in tried and looks_like(self._seen[number], picture):
                    return number
                tried.add(number)
        return None


@dataclass(frozen=True, slots=True)
class Duplication:
    """What is known of a record beside those before it."""

    exact: str | None = None
    """Split in which the very record came before."""
    near: str | None = None
    """Split in which the same question came with a picture that looks the same."""
    overlap: str | None = None
    """Evaluation set that has the picture."""
    overlap_question: bool = False
    """That set has the question about it, too."""


class Duplicates:
    """Remembers the records of a source and of evaluation sets: some 300 bytes a record and 1,500 a picture."""

    def __init__(self) -> None:
        self._pictures = ImageIndex()
        self._records: dict[bytes, str] = {}
        self._near: dict[bytes, str] = {}
        self._evaluated: dict[int, str] = {}
        self._evaluated_questions: dict[bytes, str] = {}

    def add_evaluation(self, name: str, question: bytes, pictures: Sequence[Fingerprint]) -> None:
        """Remember an item of an evaluation set."""
        numbers = [self._pictures.place(picture) for picture in pictures]
        for number in numbers:
            self._evaluated.setdefault(number, name)
        self._evaluated_questions.setdefault(_near_key(question, numbers), name)

    def see(
        self, record: bytes, question: bytes, answer: bytes, pictures: Sequence[Fingerprint], split: str
    ) -> Duplication:
        """What came before this record, which is remembered. `record`: digest of question, answer and images."""
        numbers = [self._pictures.place(picture) for picture in pictures]
        asked = _near_key(question, numbers)
        near = asked + answer
        # A question in words shares no picture, so it overlaps where the set asks it, too.
        sets = (self._evaluated.get(number) for number in numbers)
        evaluated = self._evaluated_questions.get(asked)
        found = Duplication(
            exact=self._records.get(record),
            near=self._near.get(near),
            overlap=next((name for name in sets if name is not None), evaluated),
            overlap_question=evaluated is not None,
        )
        # The first split keeps a record, so a doubled one is always named after where it came first.
        self._records.setdefault(record, split)
        self._near.setdefault(near, split)
        return found


def _near_key(question: bytes, pictures: Sequence[int]) -> bytes:
    return question + b"".join(picture.to_bytes(4, "big") for picture in pictures)


def _keys(outline: int) -> list[int]:
    mask = (1 << _BAND_BITS) - 1
    # With the band's number in the key, since equal bits in different bands say nothing.
    return [(outline >> band * _BAND_BITS & mask) * _BANDS + band for band in range(_BANDS)]
