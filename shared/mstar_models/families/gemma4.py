"""Gemma 4: tokens of an image see each other in both directions where the configuration says so, else all is causal."""

from mstar_models.families.declaration import Family

FAMILY = Family(
    name="Gemma 4",
    model_types=("gemma4",),
    processors=("Gemma4Processor",),
    sees_ahead="image",
    ahead_if_configured=True,
)
