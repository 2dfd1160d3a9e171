"""The sets that ship, each with its base model, by the names that recipes use, such as `builtin:minivista`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import minivista
from minivista import study
from mstar.types import Question

PREFIX = "builtin:"


@dataclass(frozen=True)
class Builtin:
    """A set that ships and its base model."""

    name: str
    model: Path
    sizes: Mapping[str, int]
    """Questions of each split."""
    _load: Callable[[], Callable[..., Iterator[tuple[Question, bytes]]]]

    def load_split(
        self, split: str, limit: int | None = None, *, oracle: bool = False
    ) -> Iterator[tuple[Question, bytes]]:
        """See `minivista.loader.load_split`."""
        # Drawing needs numpy, which who only asks for a size should not have to load.
        return self._load()(split, limit, oracle=oracle)


def _standard() -> Callable[..., Iterator[tuple[Question, bytes]]]:
    from minivista.loader import load_split

    return load_split


def _study() -> Callable[..., Iterator[tuple[Question, bytes]]]:
    from minivista.study.loader import load_split

    return load_split


BUILTINS = {
    one.name: one
    for one in (
        Builtin(f"{PREFIX}minivista", minivista.MODEL_FOLDER, minivista.SIZES, _standard),
        Builtin(f"{PREFIX}minivista-study", study.MODEL_FOLDER, study.SIZES, _study),
    )
}
"""Name → set."""
MODELS = {name: one.model for name, one in BUILTINS.items()}
"""Name → folder of the base model."""
