"""MiniVista: the small multimodal benchmark that ships, with the tiny base model that was pretrained for it."""

from pathlib import Path

MODEL_FOLDER = Path(__file__).parent / "model"
"""The base model in Hugging Face layout."""
SIZES = {"train": 6000, "unlabelled": 2000, "validation": 250, "test_id": 750, "test_ood": 500}
"""Questions of each split."""
