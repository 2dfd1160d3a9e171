"""The file of digits and flowers has what scikit-learn bundles, and the splits have what they always had."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minivista.digits import MATERIAL, SHARES, flowers, handwritten

HASHES = {
    "pretrain": "6664d1a292d4f42b6e9570ec7f85c04ffb2e9f471c794430485d3a1fb34de010",
    "train": "ac4bf9b19dd5017556a1ffa88cf73beb25ac3cd245caff5f47a9f308e538905a",
    "unlabelled": "a9b20081b5a9367a9c591041b99afe3ea0024a378f2b2701eb1b16e10eb3af0e",
    "validation": "4ad0394c9744f945b1a2526c8289e50b67cde7ba77292750bfbe206edced3904",
    "test_id": "33947b9b704f9c714af7f8cb439d4c86f626aeaa320eddaef83c8d83ab25270c",
    "test_ood": "333f1b53d58bec71366fd273a76166daa31e0cb62145a6dd64e06fd2817f2e2b",
}
"""Split → hash of its digits and flowers, as drawn from scikit-learn 1.9 itself."""


ROOT = Path(__file__).parents[2]
PYTHON = Path(sys.prefix) / "linters" / "bin" / "python"
"""It has scikit-learn, which ours does without: transformers imports it where it can, at each start of a service."""


@pytest.mark.skipif(not PYTHON.exists(), reason="`make test` installs scikit-learn beside the linters")
def test_the_file_is_what_its_script_writes(tmp_path: Path) -> None:
    subprocess.run([PYTHON, "-m", "minivista.material", tmp_path / "material.npz"], cwd=ROOT / "shared", check=True)
    with np.load(tmp_path / "material.npz") as made, np.load(MATERIAL) as kept:
        assert made.files == kept.files
        # The archive around the arrays differs with the version of Python.
        assert all(made[name].tobytes() == kept[name].tobytes() for name in kept.files)
        assert all(made[name].shape == kept[name].shape for name in kept.files)
    assert MATERIAL.stat().st_size < 50_000


@pytest.mark.parametrize("split", SHARES)
def test_every_split_has_the_material_it_always_had(split: str) -> None:
    found = hashlib.sha256()
    for digit, images in handwritten(split).items():
        found.update(repr((digit, images.dtype.str, images.shape)).encode() + images.tobytes())
    measured = flowers(split)
    found.update(repr((measured.dtype.str, measured.shape)).encode() + measured.tobytes())
    assert found.hexdigest() == HASHES[split]
