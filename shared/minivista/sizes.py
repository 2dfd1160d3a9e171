"""How many questions of a split are asked for, checked against how many it has."""

from collections.abc import Mapping

from mstar.errors import InvalidDataset


def count_of(name: str, sizes: Mapping[str, int], split: str, limit: int | None) -> int:
    """Questions to load of a split of the set `name`: all, or the first `limit`.

    Raises InvalidDataset for an unknown split or a limit above its size.
    """
    if split not in sizes:
        raise InvalidDataset(f"{name} has no split {split[:40]!r}; it has {', '.join(sizes)}", field="data")
    count = sizes[split] if limit is None else limit
    if count > sizes[split]:
        raise InvalidDataset(f"{name}'s {split} split has {sizes[split]} questions, not {count}", field=f"data.{split}")
    return count
