"""What the splits of published sets are called, and what they are here."""

import re
from collections.abc import Mapping

KNOWN_SPLITS: Mapping[str, str] = {
    "train": "train", "training": "train", "validation": "validation", "val": "validation", "valid": "validation",
    "dev": "validation", "testmini": "validation", "minival": "validation", "test": "test_id", "test_id": "test_id",
    "test_ood": "test_ood", "ood": "test_ood", "steps": "steps", "unlabelled": "unlabelled",
}  # fmt: skip
_ANYWHERE = ("train", "training", "validation", "val", "testmini", "minival", "test")
"""Those that tell a split wherever they stand in a name; `dev` and `steps` may mean something else there."""


def splits_in(name: str) -> set[str]:
    """The splits that the words of a name tell, also with a year after them: `mscoco_train2014_annotations.json`."""
    words = (re.sub(r"\d{4}$", "", word) for word in re.split(r"[-_. ]", name.casefold()))
    return {word for word in words if word in _ANYWHERE}
