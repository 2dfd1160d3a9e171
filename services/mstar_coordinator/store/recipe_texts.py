"""Recipes by the text that the database has of them: a run is read far more often than it is made.

To read one takes longer than all else of a short transaction, and lists show dozens.
"""

from threading import Lock

from cachetools import LRUCache

from mstar.recipes import Recipe

CHARACTERS = 4 * 2**20
"""Of all texts that are kept; a usual recipe has 5,000."""


class RecipeTexts:
    """Remembers recipes that were read. Thread-safe."""

    def __init__(self, characters: int = CHARACTERS) -> None:
        self._most = characters
        self._lock = Lock()
        self._read: LRUCache[str, tuple[Recipe, int]] = LRUCache(characters, getsizeof=lambda kept: kept[1])

    def of(self, text: str) -> Recipe:
        """The recipe, which is immutable and may be the one that others have."""
        with self._lock:
            kept = self._read.get(text)
        if kept is not None:
            return kept[0]
        recipe = Recipe.model_validate_json(text)
        if len(text) <= self._most:
            with self._lock:
                self._read[text] = recipe, len(text)
        return recipe
