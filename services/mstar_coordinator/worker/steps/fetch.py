"""The reward model of `prm.base` becomes an artefact, so a run does not change with the folder that it came from."""

import time
from pathlib import Path

from mstar.stages.fetch import FetchParams
from mstar.steps import DoneResult
from mstar_coordinator.worker.context import ClaimedStep, Output
from mstar_coordinator.worker.steps.prepare import copy_model, source_of


def run(step: ClaimedStep[FetchParams]) -> Output[DoneResult]:
    """Output: `model/`."""
    began = time.monotonic()
    recipe = step.recipe.prm
    assert recipe is not None and recipe.base is not None, "the graph has this step where prm.base is set"
    measure = step.recipe.measure
    base = source_of(step, recipe.base, measure.prm_checkpoint if measure else None)

    def fill(folder: Path) -> None:
        copy_model(base, folder / "model", step.recipe.model)

    ref = step.use.store.write(step.claim.output_id, fill, {"model": recipe.base})
    return ref, DoneResult(seconds=time.monotonic() - began)
