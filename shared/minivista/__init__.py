"""MiniVista: the small multimodal benchmark that ships, with the tiny base model that was pretrained for it."""

from pathlib import Path

MODEL_FOLDER = Path(__file__).parent / "model"
"""The base model in Hugging Face layout."""
