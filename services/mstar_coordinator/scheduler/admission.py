"""What must hold before a run is started: its size, its ranks, its base model, the disk, and where its data is.

Nothing is written here. What the data set holds is looked at by `data_admission`.
"""

import math
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from minivista.builtin import BUILTINS, PREFIX
from mstar.errors import Forbidden, InvalidInput, InvalidRecipe, StorageFull
from mstar.evolution import iteration_shards
from mstar.image_scaling import PlannedImage
from mstar.judges.in_runs import official_sets
from mstar.model_folder import read_shape, read_weights, tensor_names
from mstar.model_shape import ModelShape
from mstar.prompts import PROMPT_FILE, PromptForm, PromptRecipe, inherited, prompt_form
from mstar.recipes import DataRecipe, EvaluationRecipe, ModelRecipe, PrmRecipe, Recipe, split_field
from mstar.run_plan import GIGA, PRM, Machine, disk_bytes, plan_training
from mstar.train_recipe import ALL_LINEAR
from mstar_coordinator.dataset_check import own_splits
from mstar_coordinator.pixel_bounds import require_bounds
from mstar_coordinator.scheduler.data_places import DataPlaces
from mstar_coordinator.scheduler.folder_looks import FolderLooks
from mstar_coordinator.scheduler.model_check import check_model, check_prm, check_separator, require_labels
from mstar_data.benchmarks import benchmark_files
from mstar_data.mapping import read_mapping

MAX_STEPS = 50_000
MAX_NEEDS = 2_000_000
_ROOT = "MSTAR_COORDINATOR_DATA_ROOT, by default where `mstar up` or the coordinator was started"


@dataclass(frozen=True)
class Trainers:
    """What the operator says of the machines that train."""

    nodes: int = 1
    """Those that share one training."""
    gpu_gb: float | None = None
    """Memory of each GPU; None: unknown, or there is none."""
    four_bit: bool = False
    """They have bitsandbytes."""


def admit(
    recipe: Recipe,
    places: DataPlaces,
    home: Path,
    reserve_bytes: int,
    trainers: Trainers,
    *,
    remote: bool = False,
    allowed: Collection[str] = (),
    looks: FolderLooks | None = None,
) -> Recipe:
    """The recipe with absolute paths, once all checks have passed.

    `remote`: checkpoints are not kept below `home`. `allowed`: types of model that the operator allows: code from a
    folder, and untried ones. `looks`: what the request has already found out about model folders.
    Raises InvalidRecipe, InvalidInput for a model that can't be loaded,
    Forbidden for a path outside of `places`, and StorageFull.
    """
    looks = looks or FolderLooks(time.monotonic, math.inf)
    allowed = frozenset(allowed)
    # What needs no file comes first: the checks below read folders of any size.
    check_size(recipe, recipe.evolution.iterations)
    check_ranks(recipe, trainers.nodes)
    check_four_bit(recipe, trainers)
    data = recipe.data
    if is_builtin(data.source, "data.source"):
        check_benchmark(recipe)
    else:
        data = _admit_data(data, places)
    evaluation = _admit_evaluation(recipe, places)
    model = admit_model(recipe, places, allowed, looks, trainers, remote=remote)
    # In an evaluation another PRM may rank what a run has sampled, as with `mstar eval`.
    separator = model.form.step_separator if recipe.measure is None else None
    prm, prm_weights = admit_prm(recipe, places, allowed, separator, looks)
    if trainers.gpu_gb is not None:
        shapes = dict(model.shapes)
        if prm and prm.train and prm_weights and prm.base:
            shapes[PRM] = looks.once(read_shape, Path(prm.base), _view(recipe.model))
        check_memory(recipe, shapes, trainers.gpu_gb)
    # A PRM that was brought along lies in the artefact store and, published, in the run's folder.
    _check_disk(home, reserve_bytes + model.disk_bytes + 2 * prm_weights)
    found = {"data": data, "evaluation": evaluation, "model": model.recipe, "prompt": model.prompt, "prm": prm}
    return recipe.model_copy(update=found)


@dataclass(frozen=True)
class _Base:
    """The base model's sections with absolute paths, and what follows from its folder."""

    recipe: ModelRecipe
    prompt: PromptRecipe
    disk_bytes: int = 0
    """What the run's checkpoints take."""
    shapes: Mapping[str, ModelShape] = field(default_factory=dict)
    """By section of the recipe that trains, where its memory is looked at."""

    @property
    def form(self) -> PromptForm:
        """How the model is asked."""
        return prompt_form(self.prompt, self.recipe.base)


def admit_model(
    recipe: Recipe,
    places: DataPlaces,
    allowed: frozenset[str],
    looks: FolderLooks,
    trainers: Trainers,
    *,
    remote: bool,
) -> _Base:
    """Raises what `admit` does of the base model."""
    model = recipe.model
    if "model.base" not in recipe.named_models:
        return _Base(model, recipe.prompt)  # a checkpoint was admitted with its run
    if is_builtin(model.base, "model.base"):
        require_bounds(BUILTINS[model.base].model, model, "model.base")
        check_separator(BUILTINS[model.base].model, recipe.form.step_separator)
        return _Base(model, recipe.prompt)
    folder = below(places, model.base, "model.base")
    looks.once(check_model, folder, allowed)
    looks.once(require_bounds, folder, model, "model.base")
    check_targets(recipe, looks.once(tensor_names, folder))
    found = _Base(
        model.model_copy(update={"base": str(folder)}),
        _inherited_prompt(recipe.prompt, folder),
        disk_bytes(recipe, looks.once(read_weights, folder), checkpoints=not remote),
        # Every training starts from the base model, but for a PRM with a base of its own (`admit`).
        _shapes(recipe, folder, looks) if trainers.gpu_gb is not None else {},
    )
    looks.once(check_separator, folder, found.form.step_separator)
    # Without a base of its own the PRM is trained from the policy's, so that tokenizer needs the labels.
    if recipe.prm and recipe.prm.train and recipe.prm.base is None:
        looks.once(require_labels, folder)
    return found


def _shapes(recipe: Recipe, folder: Path, looks: FolderLooks) -> dict[str, ModelShape]:
    return dict.fromkeys(recipe.trainings(), looks.once(read_shape, folder, _view(recipe.model)))


def _view(model: ModelRecipe) -> PlannedImage:
    return PlannedImage(min_pixels=model.min_pixels, max_pixels=model.max_pixels)


def _admit_evaluation(recipe: Recipe, places: DataPlaces) -> EvaluationRecipe:
    """The section with an absolute path, once the files of its benchmarks are found."""
    evaluation = recipe.evaluation
    if evaluation.benchmarks is None:
        return evaluation
    folder = below(places, evaluation.benchmarks, "evaluation.benchmarks")
    for benchmark in official_sets(recipe).values():
        benchmark_files(benchmark, folder, places.reach)
    return evaluation.model_copy(update={"benchmarks": str(folder)})


def _inherited_prompt(prompt: PromptRecipe, folder: Path) -> PromptRecipe:
    """How the model was asked by the run that left it, where it says so and the recipe names no preset.

    Raises InvalidInput for a file that holds no form.
    """
    path = folder / PROMPT_FILE
    if not path.is_file():
        return prompt
    try:
        return inherited(prompt, PromptForm.model_validate_json(path.read_bytes()))
    except (OSError, ValidationError):
        detail = f"{path} holds no prompt that this version can read: remove it, and set prompt.preset"
        raise InvalidInput(detail, field="model.base") from None


def admit_prm(
    recipe: Recipe, places: DataPlaces, allowed: frozenset[str], separator: str | None, looks: FolderLooks
) -> tuple[PrmRecipe | None, int]:
    """The PRM's section with an absolute path, and the bytes of the weights that it names; 0 where it names none.

    Raises what `admit` does of the PRM.
    """
    prm = recipe.prm
    if prm is None or prm.base is None or "prm.base" not in recipe.named_models:
        return prm, 0
    if is_builtin(prm.base, "prm.base"):
        return prm, 0
    folder = below(places, prm.base, "prm.base")
    try:
        trained = prm.train is not None
        weights = looks.once(check_prm, folder, trained=trained, allowed=allowed, separator=separator)
    except InvalidInput as error:
        # The checks of a model's folder speak of the base model, for which they were made.
        raise InvalidInput(error.detail.replace("model.base", "prm.base", 1), field="prm.base") from None
    return prm.model_copy(update={"base": str(folder)}), weights


def check_size(recipe: Recipe, iterations: int) -> None:
    """Raises InvalidRecipe for a graph of more steps than the coordinator can hold, before it is built."""

    def shards(questions: int) -> int:
        return math.ceil(questions / recipe.generation.shard_questions)

    data = recipe.data
    # Validation is sampled greedily, with n responses and at further temperatures, and the n responses are scored.
    evaluation = 4 * shards(data.validation) + sum(map(shards, recipe.tests.values()))
    iteration = 2 * len(iteration_shards(recipe, max(1, iterations))) + 2 * shards(recipe.exploration.questions)
    first = shards(recipe.warmup.questions) if recipe.warmup else 0
    first += 2 * shards(recipe.prm.questions) if recipe.prm and recipe.prm.train else 0
    # Base and warm-up are evaluated besides the iterations.
    steps = first + iterations * iteration + (iterations + 2) * evaluation
    # Sampling waits for weights, PRM and each evaluation shard of the version before (`predecessors`).
    needs = (first + iterations * iteration) * (evaluation + 2)
    if steps > MAX_STEPS or needs > MAX_NEEDS:
        raise InvalidRecipe(
            f"a run of {iterations} iterations would have about {steps} steps with {needs} dependencies: "
            f"raise generation.shard_questions",
            field="generation.shard_questions",
        )


def check_ranks(recipe: Recipe, nodes: int) -> None:
    """Raises InvalidRecipe for trainings whose ranks the nodes cannot share, which would fail when they begin."""
    for name, settings in recipe.trainings().items():
        if settings.ranks % nodes:
            field = f"{name}.train.ranks"
            raise InvalidRecipe(
                f"{field} is {settings.ranks}, which the {nodes} nodes of a training cannot share: set it to all "
                f"their GPUs, a multiple of {nodes}, or install with trainer.nodes=1",
                field=field,
            )


def check_four_bit(recipe: Recipe, trainers: Trainers) -> None:
    """Raises InvalidRecipe for 4-bit weights where the trainers cannot hold any."""
    for name, settings in recipe.trainings().items():
        if settings.lora and settings.lora.quantize and not trainers.four_bit:
            field = f"{name}.train.lora.quantize"
            raise InvalidRecipe(
                f"{field} needs bitsandbytes beside the trainers, and this server is set up without: set it to false, "
                "or install bitsandbytes there and set MSTAR_COORDINATOR_TRAINING_FOUR_BIT=true",
                field=field,
            )


def check_targets(recipe: Recipe, names: Collection[str]) -> None:
    """Raises InvalidRecipe for a LoRA target that ends no weight's name, which would fail when training begins.

    `names`: of the weights as the folder has them.
    """
    # PEFT compares a target with the end of a module's dotted name, so the last part alone can tell.
    layers = {name.removesuffix(".weight").rpartition(".")[2] for name in names if name.endswith(".weight")}
    for name, settings in recipe.trainings().items():
        for target in settings.lora.targets if settings.lora else ():
            if target != ALL_LINEAR and target.rpartition(".")[2] not in layers:
                field, there = f"{name}.train.lora.targets", ", ".join(sorted(layers)[:24])
                raise InvalidRecipe(
                    f"{field}: no layer of the base model is called {target!r}; there are {there}", field=field
                )


def check_memory(recipe: Recipe, shapes: Mapping[str, ModelShape], gpu_gb: float) -> None:
    """Raises InvalidRecipe, which says what to change, for a training that does not fit into a GPU of this size.

    `shapes`: of the model that each section of the recipe trains; a section without one is small and not looked at.
    """
    for name, settings in recipe.trainings().items():
        if name not in shapes:
            continue
        plan = plan_training(name, settings, shapes[name], Machine(gpus=settings.ranks, gpu_bytes=int(gpu_gb * GIGA)))
        if not plan.fits:
            raise InvalidRecipe(
                f"{name}.train needs about {plan.total / GIGA:.0f} GB on each GPU and {plan.room / GIGA:.0f} GB are "
                f"there: change {'; '.join(plan.remedies)}",
                field=f"{name}.train",
            )


def is_builtin(source: str, field: str) -> bool:
    """Whether a set or model is one that ships. Raises InvalidInput for one that would, and is not there."""
    if source.startswith(PREFIX) and source not in BUILTINS:
        known = ", ".join(BUILTINS)
        raise InvalidInput(f"{field} {source[:64]!r} is unknown: use {known} or a folder", field=field)
    return source.startswith(PREFIX)


def _admit_data(data: DataRecipe, places: DataPlaces) -> DataRecipe:
    """The section with absolute paths. Raises InvalidInput and Forbidden."""
    found = {"source": str(below(places, data.source, "data.source", file=True))}
    if data.mapping is not None:
        mapping = below(places, data.mapping, "data.mapping", file=True)
        try:
            # The mapping is a file of the user's, so the file that it names must lie in an allowed place as well.
            rule = read_mapping(mapping).splits
        except InvalidInput as error:
            raise InvalidInput(error.detail, field="data.mapping") from None
        if rule is not None and rule.held_out is not None:
            below(places, str(mapping.parent / rule.held_out), "data.mapping", file=True)
        found["mapping"] = str(mapping)
    return data.model_copy(update=found)


def check_benchmark(recipe: Recipe) -> None:
    """Raises InvalidRecipe for more questions than a benchmark that ships has."""
    for split, wanted in own_splits(recipe).items():
        there, field = BUILTINS[recipe.data.source].sizes.get(split, 0), split_field(split)
        if wanted > there:
            raise InvalidRecipe(
                f"{field}: {wanted} questions are asked for, and the bundled benchmark has {there}: lower it",
                field=field,
            )


def below(places: DataPlaces, source: str, field: str, *, file: bool = False) -> Path:
    """Absolute path of a folder, or of a `file` as well, that a recipe names. Raises InvalidInput and Forbidden."""
    resolved_root = places.root.resolve()
    kind = "a file or folder" if file else "a folder"
    missing = InvalidInput(
        f"{field} {source[:200]!r} is not {kind} on the coordinator's machine; a relative path starts in {_ROOT}",
        field=field,
    )
    try:
        # Resolved before it is compared: neither `..` nor a link may lead out of the root.
        folder = (resolved_root / source).resolve()
        if not folder.is_relative_to(resolved_root):
            raise Forbidden(f"{field} must lie below the folder that the operator allows: {_ROOT}", field=field)
        if (folder.is_dir() or (file and folder.is_file())) and not places.closed(folder):
            return folder
    except (OSError, ValueError, RuntimeError):
        # A path that the file system refuses: too long, a NUL, half of a surrogate pair, links in a circle.
        raise missing from None
    raise missing


def _check_disk(home: Path, wanted: int) -> None:
    # The home folder is made with the first run.
    existing = next(path for path in (home, *home.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < wanted:
        raise StorageFull(
            f"the run needs {wanted / 1e9:.1f} GB and {free / 1e9:.1f} GB are free under home: free some disk"
        )
