"""What an evaluation measures: a model on published benchmarks. It trains nothing, so it has no other section to heed.

`POST /v1/evaluations` makes this section; no recipe of a user's holds one, since it names artefacts by their hashes.
"""

from pydantic import Field

from mstar.prompts import PromptForm
from mstar.recipes.inputs import MAX_QUESTIONS
from mstar.selection_rules import MAX_SAMPLES
from mstar.steps import ArtefactRef
from mstar.types import Frozen


class MeasuredSet(Frozen):
    """A published benchmark, by the files that it is read from."""

    path: str
    """File or folder, absolute."""
    items: int = Field(ge=1, le=MAX_QUESTIONS)
    """Prompts that are asked; a rotation is one."""


class MeasureRecipe(Frozen):
    """A model, how it is asked, and what it is asked."""

    model: str = Field(min_length=1, max_length=120)
    """Its name in tables and file names."""
    sets: dict[str, MeasuredSet] = Field(min_length=1, max_length=16)
    """By the benchmark's name, in the order of the tables."""
    n: int = Field(default=1, ge=1, le=MAX_SAMPLES)
    """Responses a question; 1 is greedy."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """Of sampling; greedy answers have none."""
    prompt: str = "official"
    """What is added to the official prompt: nothing, the instruction of the `run` that trained the model, or a
    preset's."""
    form: PromptForm | None = None
    """That instruction, and where the answer is found; None for the official prompt alone."""
    limit: int | None = Field(default=None, ge=1, le=MAX_QUESTIONS)
    """Questions of each group at most."""
    checkpoint: ArtefactRef | None = None
    """Checkpoint of a run that is measured; None: `model.base` of the recipe is."""
    prm_checkpoint: ArtefactRef | None = None
    """The PRM of that run that ranks; None: `prm.base` of the recipe does, where there is a `prm`."""
