"""A probe: what a model says at a few fixed places, by which a service shows that it has the weights that it was given.

The trainer stores one with every checkpoint. After a load the service asks its own engine, through all its caches, and
compares: keys and values or image features that the old weights left behind give other numbers. What this leaves out:
running a model (`mstar_models.probing`, and the services).
"""

from collections.abc import Iterable

from mstar.types import Frozen

TOLERANCES = {"float32": 2e-3, "float16": 0.05, "bfloat16": 0.3}
"""Nats by which a log-probability may differ between two programs that compute in a type; logits are of the order of
10 to 30, and bfloat16 has 8 bits."""
Likely = tuple[tuple[int, float], ...]
"""Tokens with their log-probabilities in nats, the likeliest first."""


class ProbePlace(Frozen):
    """One place of the probe's response."""

    before: tuple[int, ...]
    """Tokens of the response before it."""
    likely: Likely
    """The likeliest next tokens."""


class Probe(Frozen):
    """What one model says; either of the two parts is empty."""

    dtype: str
    """Type that it was computed in, such as `bfloat16`."""
    vocabulary: str
    """Digest of the vocabulary."""
    places: tuple[ProbePlace, ...] = ()
    """Of a policy."""
    scores: tuple[float, ...] = ()
    """Of a reward model: the score of each step."""


def tolerance(dtypes: Iterable[str]) -> float:
    """Nats by which programs in these types may differ: the coarsest decides, and an unknown one counts as that."""
    return max(TOLERANCES.get(one, max(TOLERANCES.values())) for one in dtypes)


def largest_difference(expected: ProbePlace, seen: Likely) -> float:
    """Nats between what was stored of a place and what a service says; infinite where it does not name a token."""
    # A token that the service does not name counts as impossible, which is beyond every tolerance.
    known = dict(seen)
    return max(abs(logprob - known.get(token, float("-inf"))) for token, logprob in expected.likely)
