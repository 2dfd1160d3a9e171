"""Splits of a data set: their names, and the recipe's field that says how much of each is used."""

from mstar.recipes.inputs import DataRecipe

STEPS = "steps"
"""Split of solutions whose steps the data set labels."""
RESERVED_SPLITS = frozenset({"train", "validation", "test_id", "test_ood", "unlabelled", "steps", "images"})
"""Splits with a meaning of their own, which no further test may have for its name."""


def split_field(split: str) -> str:
    """The recipe's field that says how many questions of a split are used."""
    if split == STEPS:
        return "prm.given"
    return f"data.{split}" if split in DataRecipe.model_fields else f"evaluation.sets.{split}"
