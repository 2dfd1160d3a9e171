"""What the splits of published sets are called, and what they are here."""

from collections.abc import Mapping

KNOWN_SPLITS: Mapping[str, str] = {
    "train": "train", "training": "train", "validation": "validation", "val": "validation", "valid": "validation",
    "dev": "validation", "testmini": "validation", "minival": "validation", "test": "test_id", "test_id": "test_id",
    "test_ood": "test_ood", "ood": "test_ood", "steps": "steps", "unlabelled": "unlabelled",
}  # fmt: skip
