"""A key for everything that determines what a step leaves: two steps with one key leave the same, in whichever runs.

A key is a hash over the step's parameters, the seed, the recipe's sections that its work reads, the version of the code
and the keys of all steps that it reads (a Merkle tree). Data and base model enter by the content of `prepare`'s
artefact. So runs that differ in a late section share everything before it.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from mstar.evolution import reads
from mstar.recipes import Recipe
from mstar.stages import StepSpec
from mstar.stages.choose import ChooseParams
from mstar.stages.evaluate import EvaluateParams
from mstar.stages.fetch import FetchParams
from mstar.stages.generate import GenerateParams
from mstar.stages.publish import PublishParams
from mstar.stages.score import ScoreParams
from mstar.stages.select import SelectParams
from mstar.step_names import PREPARE
from mstar.steps import StepParams

BUILTIN = "builtin:"
"""Begin of the names of data sets and models that come with the code."""


def ships(recipe: Recipe) -> bool:
    """Whether data and base come with the code, so that the recipe says all of a run; a folder may hold anything."""
    given = recipe.data.source.startswith(BUILTIN) and recipe.model.base.startswith(BUILTIN)
    return given and recipe.evaluation.benchmarks is None


def prepare_key(recipe: Recipe, code: str) -> str | None:
    """Key of `prepare`; None where it reads folders, whose content only its artefact tells, and for an evaluation."""
    if recipe.measure is not None or not ships(recipe):
        return None
    read = {
        "data": recipe.data.model_dump(mode="json"),
        "model": recipe.model.model_dump(mode="json"),
        "splits": recipe.splits,
        "oracle": recipe.evolution.unlabelled.oracle,
    }
    return _hash([code, PREPARE, read])


def step_keys(recipe: Recipe, steps: Sequence[StepSpec], prepared: str, code: str) -> dict[str, str]:
    """Key of each step after `prepare`, by name, for those that have one.

    `steps`: a run's graph. `prepared`: a hash of the content that `prepare` left. A step that reads
    a model from a folder has none, nor has what follows from it: what lies there is not known here. Nor has `publish`,
    which writes into its own run's folder.
    """
    keys: dict[str, str] = {PREPARE: prepared}
    common = {
        "seed": recipe.seed,
        **{
            name: getattr(recipe, name).model_dump(mode="json") for name in ("model", "prompt", "answers", "generation")
        },
    }
    left = {one.name: one for one in steps if not isinstance(one.params, FetchParams | PublishParams)}
    left.pop(PREPARE, None)
    # Scores of the base model stand before the reward model that makes them, so one pass is not enough.
    while ready := [one for one in left.values() if all(name in keys for name in _inputs(one))]:
        for step in ready:
            # The name is in it, so that two phases with equal parameters are never taken for one another.
            own = [code, step.name, step.params.model_dump(mode="json"), common, _sections(recipe, step.params)]
            keys[step.name] = _hash([own, [keys[name] for name in _inputs(step)]])
            del left[step.name]
    # `prepare` is taken over by the key of `prepare_key`, not by the content that it left.
    del keys[PREPARE]
    return keys


def _inputs(step: StepSpec) -> tuple[str, ...]:
    """Names of the steps whose outputs a step's work uses.

    What sampling waits for beside its weights is there for the order alone: the reward model is trained before the
    first iteration samples, whether or not anything is scored.
    """
    if isinstance(step.params, GenerateParams):
        return (PREPARE, step.params.weights, *((step.params.choose,) if step.params.choose else ()))
    return reads(step)


def _sections(recipe: Recipe, params: StepParams) -> dict[str, Any]:
    """What a step's work reads of the recipe beside what all steps read."""
    scored = isinstance(params, ScoreParams)
    scored |= isinstance(params, SelectParams) and params.prm is not None
    scored |= isinstance(params, ChooseParams | EvaluateParams) and bool(params.scores)
    found: dict[str, Any] = {}
    if scored:
        # How R_p is made and which scores are left out; how the PRM was trained is in its own steps' keys.
        found["prm"] = None if recipe.prm is None else recipe.prm.model_dump(mode="json")
    if isinstance(params, EvaluateParams):
        found["tests"] = recipe.tests
    return found


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
