"""Writes `material.npz`, the handwritten digits and measured flowers that the benchmark draws from.

`python -m minivista.material FILE` needs scikit-learn, whose bundled sets it copies; everything else reads the file.
The sets are the UCI test set of optical digits and Fisher's irises, which may be passed on.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits, load_iris


def write(path: Path) -> None:
    """Write the file; the same bytes at every call by one version of Python."""
    digits = load_digits()
    np.savez_compressed(
        path,
        images=digits.images.astype(np.uint8),
        digits=digits.target.astype(np.uint8),
        flowers=np.rint(load_iris().data * 10).astype(np.uint8),
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
