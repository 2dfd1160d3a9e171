"""`mstar plan RECIPE`: memory of each service, disk, tokens and GPU-hours of a run, before anything starts."""

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from mstar.cli.output import console, print_json, progress_console
from mstar.cli.recipe_files import read_recipe
from mstar.cli.stack import JsonOption, SettingsOption
from mstar.errors import Internal, InvalidInput, from_problem
from mstar.image_scaling import PlannedImage
from mstar.known_shapes import known_shape
from mstar.model_folder import read_shape
from mstar.model_shape import ModelShape
from mstar.recipes import Recipe
from mstar.run_plan import GIGA, Habits, Machine, RunPlan, ServicePlan, plan_run


def plan(
    recipe: Annotated[str, typer.Argument(help="A .yaml file, or the name of a recipe that ships.")],
    gpus: Annotated[int, typer.Option(min=1, max=1024, help="Number of GPUs.")] = 8,
    gpu_memory: Annotated[float, typer.Option(min=1, max=2000, help="Memory of each GPU, in GB.")] = 80.0,
    model: Annotated[str | None, typer.Option(help="Folder, or name of a known model. Default: the recipe's.")] = None,
    settings: SettingsOption = None,
    tflops: Annotated[float, typer.Option(min=1, max=1e6, help="Assumed peak of a GPU, in dense bf16 TFLOPS.")] = 989.0,
    bandwidth: Annotated[float, typer.Option(min=0.01, max=1e4, help="Assumed memory bandwidth, in TB/s.")] = 3.35,
    response_tokens: Annotated[
        int, typer.Option(min=1, max=10**7, help="Assumed length of a response, in tokens.")
    ] = 220,
    as_json: JsonOption = False,
) -> None:
    """Estimate whether a run fits on the GPUs and what it costs. Exit code 1 if it does not fit or would be refused."""
    read = read_recipe(recipe, settings or [])
    machine = Machine(gpus=gpus, gpu_bytes=int(gpu_memory * GIGA), tflops=tflops, bandwidth=bandwidth)
    base = read.prm.base if read.prm else None
    # A PRM with such bounds gets the recipe's as well.
    view = PlannedImage(min_pixels=read.model.min_pixels, max_pixels=read.model.max_pixels)
    prm = None if base is None else _shape(base, "prm.base", view)
    shape = _shape(model or read.model.base, "model.base" if model is None else "--model", view)
    _require_admitted(read, {"model.base": model or read.model.base, "prm.base": base})
    made = plan_run(read, shape, machine, Habits(response_tokens=response_tokens), prm)
    if as_json:
        totals = {"fits": made.fits, "gpu_hours": made.gpu_hours}
        print_json(made.model_dump(mode="json") | totals)
    else:
        _print(made, machine, response_tokens)
    if not made.fits:
        raise typer.Exit(1)


def _shape(wanted: str, field: str, view: PlannedImage) -> ModelShape:
    """The folder if it is here, else a known model of its name. Raises InvalidInput."""
    folder = _folder(wanted, field)
    if folder is not None:
        return read_shape(folder, view)
    # A path of another machine, such as /models/Qwen2.5-VL-7B-Instruct, is known by its last part.
    return known_shape(wanted if wanted.startswith("builtin:") else Path(wanted).name, view)


def _folder(wanted: str, field: str) -> Path | None:
    """The folder if it is here. Raises InvalidInput."""
    try:
        # A name with a NUL or of thousands of characters is an error to the file system itself.
        return Path(wanted).resolve() if Path(wanted).is_dir() else None
    except (OSError, ValueError, RuntimeError):
        raise InvalidInput(f"{wanted[:200]!r} is not a folder", field=field) from None


def _require_admitted(recipe: Recipe, models: Mapping[str, str | None]) -> None:
    """Raises what a server would refuse the run with, as far as that can be told here.

    `models`: field → the model that it names, of which those are looked at that lie on this machine.
    """
    found = {field: _folder(name, field) for field, name in models.items() if name is not None}
    folders = {field: str(folder) for field, folder in found.items() if folder is not None}
    if find_spec("mstar_coordinator") is None:
        progress_console.print("not checked: what a server would refuse, since no server is installed here")
        return
    asked = json.dumps({"recipe": recipe.model_dump(mode="json"), "folders": folders})
    # A process of its own: the client installs neither the coordinator nor torch, and loading a model takes memory.
    command = [sys.executable, "-m", "mstar_coordinator.plan_check"]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    *_, last = ["", *done.stdout.strip().splitlines()]
    if done.returncode or not last:
        *_, reason = ["it ended without any output", *done.stderr.strip().splitlines()]
        raise Internal(f"cannot find out what a server would refuse: {reason[:300]}")
    if (problem := json.loads(last)["problem"]) is not None:
        raise from_problem(problem, problem["status"])


def _print(made: RunPlan, machine: Machine, response_tokens: int) -> None:
    for shape in filter(None, (made.model, made.prm)):
        console.print(f"{shape.name}: {shape.weights.parameters / GIGA:.2f} B weights")
    table = Table("service", "GPUs", "needs, GB", "has, GB", "of which", "fits")
    for service in made.services:
        parts = ", ".join(f"{name} {_gb(size)}" for name, size in service.parts.items())
        table.add_row(
            service.name,
            str(service.gpus),
            _gb(service.total),
            _gb(service.room),
            parts,
            "yes" if service.fits else "NO",
        )
    console.print(table)
    for service in made.services:
        _print_more(service)
    work = Table("work", "sampled, M", "read, M", "trained, M", "GPU-hours")
    for part in made.work:
        tokens = (part.sampled, part.read, part.trained)
        work.add_row(part.name, *(f"{n / 1e6:.1f}" if n else "" for n in tokens), f"{part.gpu_hours:.1f}")
    work.add_row("all", "", "", "", f"{made.gpu_hours:.1f}")
    console.print(work)
    image_tokens = made.model.image_tokens
    days = made.gpu_hours / machine.gpus / 24
    console.print(
        f"disk: {_gb(made.disk)} GB for {made.checkpoints} checkpoints, the base and the published models\n"
        f"time: {made.gpu_hours:.0f} GPU-hours, {days:.1f} days if no GPU of {machine.gpus} is ever idle\n"
        "Memory is per GPU, with each service alone on it (GPUs in turns). Assumed, not measured: "
        f"{machine.tflops:.0f} TFLOP/s of which training reaches {machine.training_share:.0%} and prompts "
        f"{machine.prefill_share:.0%}; sampling at {machine.decode_share:.0%} of {machine.bandwidth} TB/s with "
        f"{machine.batch} responses together; responses of {response_tokens} tokens, images of {image_tokens}.",
    )


def _print_more(service: ServicePlan) -> None:
    if service.host:
        console.print(f"{service.name}: {_gb(service.host)} GB of the machine's memory")
    if service.remedies:
        console.print(f"{service.name}: change {'; '.join(service.remedies)}")


def _gb(size: int) -> str:
    return f"{size / GIGA:.1f}"
