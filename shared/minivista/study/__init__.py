"""MiniVista Study: a second set on which the arms of a study can be told apart, and the base model made for it.

Its answers can be reached by a wrong chain, and a third of what its chains need is known badly at first, so that
choosing among correct responses matters and skill grows slowly. See docs/study.md.
"""

from pathlib import Path

MODEL_FOLDER = Path(__file__).parent / "model"
"""The base model in Hugging Face layout."""
SIZES = {"train": 4000, "unlabelled": 2000, "validation": 500, "test_id": 3000, "test_ood": 3000}
"""Questions of each split."""
