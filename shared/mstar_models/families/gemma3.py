"""Gemma 3: tokens of an image see each other in both directions (arXiv 2503.19786, section 2.1); all else is causal."""

from mstar_models.families.declaration import Family

FAMILY = Family(name="Gemma 3", model_types=("gemma3",), processors=("Gemma3Processor",), sees_ahead="image")
