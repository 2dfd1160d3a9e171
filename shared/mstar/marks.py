"""Which questions of a test a policy answers right, in a few hundred characters: what paired statistics are made of."""

import base64
import hashlib
from collections.abc import Iterable, Sequence

from pydantic import Field

from mstar.types import Frozen, RolloutRow


class Marks(Frozen):
    """One bit a question, in the order of the test."""

    questions: int = Field(ge=0, le=10_000_000)
    ids: str = Field(pattern=r"^[0-9a-f]{16}$")
    """Begin of the SHA-256 of the questions' ids in their order: marks with other ids cannot be paired."""
    right: str = Field(max_length=4_000_000)
    """Base64 of the bits, the first question in the highest bit of the first byte; the last byte is filled with 0."""

    def outcomes(self) -> list[int]:
        """0 or 1 for each question. Raises ValueError where the bits are not as many as the questions."""
        packed = base64.b64decode(self.right, validate=True)
        # Result files travel between people, so length and padding are checked before anything is paired.
        if len(packed) != (self.questions + 7) // 8:
            raise ValueError(f"{len(packed)} bytes do not hold the marks of {self.questions} questions")
        return [packed[place >> 3] >> (7 - (place & 7)) & 1 for place in range(self.questions)]


def marks_of(rows: Iterable[RolloutRow]) -> Marks:
    """Marks of greedy responses, one row a question, in the order of the rows; no response counts as wrong."""
    # Only the first: greedy rows have one response, and a row with a problem has none.
    found = [(row.question.id, any(one.verdict.correct for one in row.responses[:1])) for row in rows]
    names = "\n".join(question for question, _ in found)
    return Marks(
        questions=len(found),
        ids=hashlib.sha256(names.encode()).hexdigest()[:16],
        right=base64.b64encode(packed([right for _, right in found])).decode(),
    )


def packed(bits: Sequence[bool]) -> bytes:
    """Bits as bytes, the first one highest."""
    padded = [*bits, *([False] * (-len(bits) % 8))]
    return bytes(
        sum(bit << (7 - place) for place, bit in enumerate(padded[begin : begin + 8]))
        for begin in range(0, len(padded), 8)
    )
