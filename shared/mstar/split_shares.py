"""Names that a split of a data set may have, and shares by which records fall into splits."""

import re
from collections.abc import Mapping

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_TAKEN = ("steps", "images", "unlabelled")


def split_name(name: str) -> str:
    """`train`, `validation`, `test_id`, `test_ood`, or a further test that a recipe names in `evaluation.sets`.

    Raises ValueError for a name that no split can have.
    """
    if not is_split_name(name):
        raise ValueError(f"{name[:40]!r} cannot name a split: use small letters, digits, - and _")
    return name


def is_split_name(name: str) -> bool:
    """Whether a split can have this name."""
    return _NAME.fullmatch(name) is not None and name not in _TAKEN


def require_shares(shares: Mapping[str, float]) -> None:
    """Raises ValueError where a split cannot have its name or its share, and where the shares do not make 1."""
    for name, share in shares.items():
        split_name(name)
        if not 0 < share <= 1:
            raise ValueError(f"the share of {name} is {share:g} and must lie in (0, 1]")
    # People write 0.33, 0.33 and 0.34, whose sum is 1 but for binary rounding.
    if shares and abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"the shares make {sum(shares.values()):g}, not 1")
