"""An evaluation as a recipe: which weights and which PRM it measures, and how many items each benchmark has.

Every file of a benchmark is read, so that a bad one is named before anything is queued. The folder of a model is looked
at by `admission`, as that of a run.
"""

import re
from dataclasses import dataclass

from minivista.builtin import MODELS
from mstar.api.evaluations import EvaluationCreate
from mstar.errors import InvalidDataset, InvalidInput, NotFound
from mstar.judges import BENCHMARKS, Benchmark, benchmark
from mstar.judges.asking import asking
from mstar.needed_scores import NO_SAVINGS
from mstar.prompts import PromptForm, PromptRecipe
from mstar.recipes import (
    EvolutionRecipe,
    ExplorationMode,
    ExplorationRecipe,
    GenerationRecipe,
    MeasuredSet,
    MeasureRecipe,
    ModelRecipe,
    PrmRecipe,
    Recipe,
)
from mstar.selection_rules import SelectionMode, SelectionRecipe
from mstar.step_names import BASE, FETCH, PREPARE, REWARD, WARMUP, iteration_phase, train_step
from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.scheduler.admission import below
from mstar_coordinator.scheduler.data_places import DataPlaces
from mstar_coordinator.store.database import Transaction
from mstar_coordinator.store.records import RunRecord, StepState
from mstar_data.benchmarks import items_of
from mstar_eval.models import measured

NO_PRM = "none"


@dataclass(frozen=True)
class EvaluatedModel:
    """What is measured."""

    name: str
    model: ModelRecipe
    form: PromptForm | None
    """How the run that trained it put its questions; None for a model of no run."""
    checkpoint: ArtefactRef | None = None
    prm: ArtefactRef | None = None
    """The run's own PRM."""
    prm_base: str = ""
    """What that was made from."""


def weights_of_run(
    tx: Transaction, artefacts: ArtefactStore, run: RunRecord, checkpoint: str | None, *, ranks: bool
) -> EvaluatedModel:
    """A policy of a run, by its label or the newest, and the run's PRM where responses are ranked.

    Raises InvalidInput for a checkpoint that is not there, or no longer.
    """
    recipe = run.recipe
    if recipe.measure is not None:
        raise InvalidInput(f"{run.id} is itself an evaluation: name the run that it measures", field="model")
    labels = [checkpoint] if checkpoint else [*(iteration_phase(i) for i in range(run.iterations, 0, -1)), WARMUP]
    found = ((label, _left(tx, run.id, PREPARE if label == BASE else train_step(label))) for label in labels)
    label, weights = next(((label, ref) for label, ref in found if ref is not None), ("", None))
    if weights is None:
        which = f"no checkpoint {checkpoint}" if checkpoint else "no checkpoint yet"
        fix = f"it lists those that it has at /v1/runs/{run.id}/checkpoints; `base` is the model that it began with"
        raise InvalidInput(f"run {run.id} has {which}: {fix}", field="checkpoint")
    prm, prm_base = None, ""
    if ranks and recipe.prm is not None:
        prm = _left(tx, run.id, train_step(REWARD) if recipe.prm.train else FETCH)
        prm_base = recipe.prm.base or recipe.model.base
    for ref in (weights, prm):
        if ref is not None and artefacts.find(ref.id) != ref:
            detail = f"{ref.id} is no longer in the artefact store: `mstar run repair {run.id}` makes it again"
            raise InvalidInput(detail, field="checkpoint")
    name = f"{run.id}-{label}" if checkpoint else run.id
    return EvaluatedModel(name, recipe.model, recipe.form, weights, prm, prm_base)


def weights_of_folder(create: EvaluationCreate, places: DataPlaces) -> EvaluatedModel:
    """A model that ships, or one of a folder. Raises InvalidInput and Forbidden."""
    if create.checkpoint is not None:
        detail = f"checkpoint names a policy of a run, and {create.model[:80]!r} is none: leave it out"
        raise InvalidInput(detail, field="checkpoint")
    if create.model in MODELS:
        return EvaluatedModel(create.model.partition(":")[2], ModelRecipe(base=create.model), None)
    try:
        folder = str(below(places, create.model, "model"))
        about = measured(folder, places.root, MODELS)
    except (NotFound, InvalidInput) as error:
        known = f"{error.detail}, nor a run's id, nor one of {', '.join(MODELS)}"
        raise InvalidInput(known if "/" not in create.model else error.detail, field="model") from None
    return EvaluatedModel(about.name, ModelRecipe(base=folder), about.form)


def evaluation_recipe(create: EvaluationCreate, weights: EvaluatedModel, places: DataPlaces) -> Recipe:
    """What the steps of the evaluation read.

    Raises InvalidInput for what no benchmark or prompt is called, Forbidden for a path outside of `places`, and
    InvalidDataset naming file and place.
    """
    try:
        chosen = [benchmark(name) for name in create.sets]
    except InvalidInput as error:
        raise InvalidInput(error.detail, field="sets") from None
    for name in create.files:
        if name not in BENCHMARKS:
            detail = f"{name[:40]!r} is not a benchmark here: use {', '.join(BENCHMARKS)}"
            raise InvalidInput(detail, field="files")
    asked = asking(create.prompt, weights.form)
    ranks = create.samples > 1 and create.prm != NO_PRM
    own = weights.prm if ranks and create.prm is None else None
    base = weights.prm_base if own else create.prm if ranks else None
    sets = {one.name: _counted(one, create, places) for one in chosen}
    name = re.sub(r"[^A-Za-z0-9._-]", "_", weights.name)[:70]
    return Recipe(
        name=f"eval {name}",
        seed=create.seed,
        model=weights.model,
        # Steps are cut as the run cuts them, whatever its policy is asked with here.
        prompt=PromptRecipe(step_separator=weights.form.step_separator if weights.form else None),
        generation=GenerationRecipe(max_tokens=create.max_tokens),
        warmup=None,
        # Every response is ranked, also where the order cannot change whether the first is right: files show it.
        prm=PrmRecipe(base=base, train=None, savings=NO_SAVINGS) if base else None,
        evolution=EvolutionRecipe(iterations=0, selection=SelectionRecipe(mode=SelectionMode.RANDOM)),
        exploration=ExplorationRecipe(mode=ExplorationMode.FIXED),
        measure=MeasureRecipe(
            model=name,
            sets=sets,
            n=create.samples,
            temperature=create.temperature if create.samples > 1 else 0.0,
            prompt=asked.name,
            form=asked.form,
            limit=create.limit,
            checkpoint=weights.checkpoint,
            prm_checkpoint=own,
        ),
    )


def _left(tx: Transaction, run_id: str, step: str) -> ArtefactRef | None:
    """What a step has left; None where the run has no such step, or it is not done."""
    try:
        found = tx.steps.named(run_id, step)
    except NotFound:
        return None
    return found.artefact if found.state is StepState.DONE else None


def _counted(one: Benchmark, create: EvaluationCreate, places: DataPlaces) -> MeasuredSet:
    """Where its files lie, and how many items they have.

    Raises InvalidInput where nothing is named for it, Forbidden, and InvalidDataset for files that cannot be used.
    """
    own = next((name for name in (one.name, one.name.removesuffix("-r")) if name in create.files), None)
    field, named = (f"files.{own}", create.files[own]) if own is not None else ("data", create.data)
    if named is None:
        detail = f"no files are named for {one.title}: set data to a folder that has them, or files.{one.name}"
        raise InvalidInput(detail, field=field)
    path = below(places, named, field, file=True)
    try:
        return MeasuredSet(path=str(path), items=sum(1 for _ in items_of(one, path, create.limit, places.reach)))
    except InvalidInput as error:
        raise InvalidDataset(error.detail, field=field) from None
